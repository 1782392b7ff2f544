"""Whole lines that are page furniture, by rule and language; compared in lower case, letters alone, without accents.

Made by reading the lines that quality/turku_line_quality labels as bad and those of extracted pages; what
`benchmarks/text/furniture.py` found to stand in running text was taken out again.
"""

from collections.abc import Mapping

# Rules in the order of their counts; `separator` and `repeated` have no list.
RULES = ("skip_link", "cookie", "share", "related", "advert", "control", "comment", "credit", "separator", "repeated")

LINES: Mapping[str, str] = {
    "skip_link": """
        skip to content|skip to main content|skip to the content|skip to the main content|skip to navigation
        skip to main navigation|skip navigation|skip to search|skip to footer|skip to primary content|skip links
        skip to secondary content|skip to primary navigation|skip to page content|skip to main|skip to article
        skip to site navigation|skip to section navigation|jump to content|jump to navigation|jump to main content
        jump to search|jump to navigation jump to search|jump to: navigation, search|go to contents go to navigation
        go to content|go to main content|go to navigation|go to contents|skip to header|skip to sidebar|skip ad
        skip advertisement|skip to toolbar|skip to menu|skip header|skip to end of metadata
        skip to start of metadata|go to end of metadata|go to start of metadata|skip intro|skip to body
        zum inhalt springen|zum inhalt|zum hauptinhalt|direkt zum inhalt|zur navigation springen|zur suche springen
        zur navigation|zum hauptinhalt springen|springe zum inhalt|zur hauptnavigation|zum seitenanfang
        zur hauptnavigation springen|zur suche|wechseln zu: navigation, suche|aller au contenu
        aller au contenu principal|aller au menu|aller à la navigation|aller à la recherche
        aller à : navigation, rechercher|passer au contenu|passer au contenu principal|accéder au contenu
        accéder au contenu principal|accéder directement au contenu|ir al contenido|ir al contenido principal
        saltar al contenido|saltar al contenido principal|saltar a contenido|pasar al contenido principal
        saltar a: navegación, búsqueda|ir a la navegación|ir a la búsqueda|vai al contenuto
        vai al contenuto principale|salta al contenuto|passa al contenuto principale|ga naar de inhoud
        ga naar inhoud|naar inhoud|naar de inhoud|direct naar inhoud|spring naar inhoud|hoppa till innehåll
        hoppa till huvudinnehåll|hoppa till: navigering, sök|gå till innehåll|hoppa till navigering
        gå direkt till innehåll|till innehållet|gå till huvudinnehåll|siirry sisältöön|hyppää sisältöön
        siirry pääsisältöön|siirry suoraan sisältöön|hyppää pääsisältöön|loikkaa: valikkoon, hakuun
        hyppää navigaatioon|siirry hakuun|ir para o conteúdo|ir para conteúdo|pular para o conteúdo
        saltar para o conteúdo|ir para o conteúdo principal|przejdź do treści|przejdź do głównej treści
        przejdź do nawigacji|przejdź do wyszukiwania|gå til indhold|gå til hovedinnhold|hopp til innhold
        spring til indhold|hopp til hovedinnhold|hopp til navigering
        перейти к содержанию
        перейти к основному содержанию|перейти к навигации|перейти к поиску
        本文へスキップ|コンテンツへスキップ|跳到主要內容|跳转到主要内容""",
    "cookie": """
        we use cookies|we use cookies. more.|this site uses cookies|this website uses cookies|accept cookies
        accept all cookies|accept all|reject all|cookie settings|cookies settings|manage cookies|cookie preferences
        cookie notice|cookie consent|this site uses cookies.|this website uses cookies.
        we use cookies to give you the best experience|cookie-einstellungen|alle akzeptieren
        alle cookies akzeptieren|diese website verwendet cookies|diese webseite verwendet cookies
        accepter les cookies|tout accepter|ce site utilise des cookies|gestion des cookies|aceptar cookies
        aceptar todas|este sitio usa cookies|este sitio web utiliza cookies|questo sito utilizza cookie
        questo sito usa i cookie|accetta tutti|accepteer cookies|deze website gebruikt cookies|vi använder cookies
        acceptera alla cookies|godkänn alla cookies|hyväksy evästeet|tämä sivusto käyttää evästeitä|aceitar cookies
        akceptuj wszystkie|accepter alle""",
    "share": """
        share share|share share share|diesen beitrag teilen|jetzt teilen!|teilen auf|diesen artikel teilen
        follow us on|follow us|email the author follow on twitter
        share this|share this article|share this story|share this page|share this post|share on facebook|tweet this
        share on twitter|share on linkedin|share on pinterest|share via email|email this|share this on facebook
        share on whatsapp|share on reddit|share on google|share on tumblr|click to share|share this with|share with
        share this entry|share this with your friends|share with friends|share with your friends|share it
        share the love|share this with email|share this with facebook|share this with twitter|copy this link
        copy link|link copied|email this article|print this article|print this page|print article|email article
        e-mail this article|email to a friend|email a friend|send to a friend|tell a friend|printer friendly
        printer-friendly version|printable version|print friendly|save this article|save this story
        emailthisblogthis!share to twittershare to facebook|follow us|follow us on facebook|follow us on twitter
        follow us on instagram|follow us on social media|like us on facebook|find us on facebook|join us on facebook
        follow on twitter|follow me on twitter|stay connected|connect with us|share this video|share article
        share story|share page|share post|view comments|share your thoughts
        email this blogthis! share to twitter share to facebook|diesen artikel teilen|artikel teilen|beitrag teilen
        auf facebook teilen|auf twitter teilen|teilen auf facebook|artikel drucken|seite drucken|folgen sie uns
        per e-mail versenden|artikel versenden|drucken|drucken versenden|seite teilen|teilen|partager
        partager sur facebook|partager sur twitter|partagez|partager cet article|imprimer|envoyer par email
        suivez-nous|suivez nous|imprimer cette page|envoyer à un ami|imprimer l'article|partager par email|compartir
        compartir en facebook|compartir en twitter|compartir esta noticia|compartir este artículo|imprimir|síguenos
        comparte|comparte esto|enviar por correo electrónico|enviar a un amigo|condividi|condividi su facebook
        condividi su twitter|stampa|invia ad un amico|seguici su|seguici|delen|deel dit artikel|deel dit bericht
        delen op facebook|volg ons|deel via email|dela|dela på facebook|dela på twitter|dela artikel|dela artikeln
        skriv ut|följ oss|tipsa en vän|dela sidan|jaa|jaa facebookissa|jaa twitterissä|jaa artikkeli|tulosta
        seuraa meitä|tulosta sivu|jaa tämä|partilhar|compartilhar|compartilhe|partilhe|compartilhar no facebook
        udostępnij|podziel się|drukuj|del|del på facebook|поделиться|поделиться в соцсетях|распечатать
        версия для печати""",
    "related": """
        popular right now|mehr beiträge|weitere beiträge|related photos|see more|recently posted|mehr erfahren sie hier:
        read next|read this next|up next|related articles|related stories|related posts|related content|related news
        related links|related topics|related coverage|related story|related article|related reading|related items
        related|you may also like|you might also like|you may like|you might like|recommended for you|recommended
        more stories|more from this author|more like this|more news|more articles|most read|most popular|trending
        trending now|trending stories|popular posts|recent posts|recent articles|latest news|latest stories
        latest articles|top stories|editors' picks|editor's picks|editor's pick|don't miss|also read|see also more
        also on|more on this story|more on this topic|more on this|more in|more posts|around the web
        from around the web|from the web|you may also be interested in|you might also be interested in
        you may be interested in|read more|read more »|read more about|read the full story|read full article
        read full story|continue reading|read the full article|read more...|read more →|more info|learn more
        find out more|view more|see more|show more|load more|view all|see all|show all|more|popular|popular articles
        must read|must reads|what to read next|featured stories|promoted stories|powered by zergnet
        you may have missed|more videos|recommended videos|related videos|more to explore|keep reading|read also
        customers also bought|people also read|related products|mehr zum thema|lesen sie auch|lesen sie mehr
        weiterlesen|mehr lesen|das könnte sie auch interessieren|mehr|das könnte dich auch interessieren
        ähnliche artikel|ähnliche beiträge|meistgelesen|weitere artikel|weitere beiträge|verwandte artikel
        auch interessant|mehr erfahren|mehr dazu|beliebte beiträge|neueste beiträge|weitere meldungen|à lire aussi
        lire aussi|lire la suite|lire la suite...|articles similaires|à lire également|sur le même sujet
        articles récents|vous aimerez aussi|en savoir plus|voir aussi aussi|les plus lus|voir plus|plus d'infos
        articles liés|leer más|lea también|lee también|te puede interesar|noticias relacionadas
        artículos relacionados|lo más leído|más información|más noticias|entradas recientes|ver más|seguir leyendo
        entradas populares|entradas relacionadas|leggi anche|leggi tutto|articoli correlati|potrebbe interessarti
        continua a leggere|potrebbe interessarti anche|lees meer|lees ook|lees verder|meer lezen
        gerelateerde artikelen|meest gelezen|meer nieuws|lees meer »|läs mer|läs också|läs även|läs hela artikeln
        relaterade artiklar|mest läst|fler nyheter|mer om|populära inlägg|senaste inläggen|fler artiklar|visa fler
        visa mer|läs vidare|mest lästa|senaste nytt|relaterat|lue lisää|lue myös|lue koko juttu|luetuimmat
        aiheesta lisää|lisää aiheesta|suosituimmat|katso myös lisää|leia mais|leia também|saiba mais
        notícias relacionadas|veja também mais|posts relacionados|mais lidas|czytaj więcej|czytaj także|czytaj dalej
        zobacz także|zobacz również|najczęściej czytane|przeczytaj także|les også|læs også|læs mere|les mer
        mest lest|mest læste|læs mere her|читайте также|читать далее|подробнее|еще по теме|популярное
        もっと見る|続きを読む
        関連記事|相关阅读|查看更多|阅读更多""",
    "advert": """
        advertisement|advertisements|advertising|sponsored|sponsored content|sponsored links|sponsored by|ad|ads
        story continues below advertisement|article continues below advertisement
        continue reading below advertisement|advertisement continue reading below
        advertisement - continue reading below|advertisement: content continues below|story continues below
        article continues after advertisement|article continues below|promoted content|promoted|paid content
        ads by google|google ads|report this ad|report ad|advertise here|advertise with us|scroll to continue
        click here to get the fox news app|continue reading the main story|story continues after advertisement
        paid post|this article contains affiliate links|sponsored stories|advertisement scroll to continue
        advertisement - story continues below|advertisement story continues below|continue reading below
        advertisement - article continues below|story continues after this ad|article continues after this ad
        advertisement - continue reading|scroll to continue reading|article continues below this ad
        story continues below this ad|remove ads|hide ad|close ad|werbung|anzeige|anzeigen|advertorial
        gesponsert|publicité|annonce|annonces
        la suite après la publicité|publicidad|anuncios|continúa leyendo|pubblicità|annunci|advertentie|advertenties
        annons|annonser|annons:|artikeln fortsätter efter annonsen|mainos|mainokset|mainos - juttu jatkuu alla
        juttu jatkuu mainoksen jälkeen|publicidade|reklama|annonsørinnhold|artiklen fortsætter efter annoncen
        реклама|広告|广告""",
    "control": """
        back to top|top of page|return to top|go to top|scroll to top|back to home|go back|back to list|home
        menu|main menu
        navigation|search|search this site|close|close [x]|close window|close menu|open menu|toggle navigation
        close this window|toggle menu|show menu|hide menu|site map|sitemap|login|log in|log out|logout|sign in
        sign up|sign out|register|subscribe|subscribe now|unsubscribe|my account|create account|create an account
        forgot password|forgot your password?|subscribe to our newsletter|sign up for our newsletter
        newsletter signup|newsletter|join our mailing list|sign up now|sign up for our free newsletter
        subscribe to newsletter|get our newsletter|sign up for the newsletter|join our newsletter|previous|next
        previous post|next post|previous article|next article|previous page|next page|newer posts|older posts
        newer post|older post|prev|prev next|previous next|next »|« previous|home newer posts older posts
        previous story|next story|view full size|view larger|view larger image|enlarge|enlarge image
        click to enlarge|view gallery|view slideshow|full screen|add to cart|add to basket|add to wishlist
        add to wish list|add to compare|view cart|checkout|buy now|quick view|in stock|send feedback|report a problem
        report abuse|report this|contact us|about us|privacy policy|terms of use|terms of service
        terms and conditions|terms & conditions|cookie policy|privacy|legal notice|terms privacy|privacy terms
        all rights reserved|all rights reserved.|copyright|powered by wordpress|powered by blogger|loading
        toggle caption|hide caption|show caption|enlarge this image|view image in fullscreen|photo caption
        customer login|register now|register connect|forgot your password? click here|loading photo gallery
        forgot your user name? click here|feedback to editors|index next|send an email to the site administrator
        breaking news emails|unsere newsletter|newsletter abonnnieren|posted by at|abo testen login
        loading...|please wait|please wait...|play|pause|mute|play video|watch video|now playing|play now
        download pdf|submit|send|reset|cancel|ok|yes no|go|filter|sort by|view as|show|hide|edit|delete|select|apply
        clear all|expand|collapse|subscribe to: post comments (atom)|subscribe to: posts (atom)
        view my complete profile|blog archive|javascript is disabled|you are here|you are here:|list view|grid view
        select language|select your language|choose language|print|download|rss|rss feed|select a page|click here
        view profile|view map|get directions|view details|view website|nach oben|zurück|weiter|startseite
        anmelden|abmelden
        registrieren|suche|suchen|impressum|datenschutz|schließen|zurück zur übersicht|zurück zur startseite
        in den warenkorb|newsletter abonnieren|menü|agb|merken|vorheriger beitrag|nächster beitrag|bild vergrößern
        passwort vergessen?|passwort vergessen|einloggen|jetzt anmelden|haut de page|retour|retour en haut|accueil
        connexion|se connecter|s'inscrire|inscription|rechercher|fermer|suivant|précédent|mentions légales
        contactez-nous|mot de passe oublié|mot de passe oublié ?|retour à l'accueil|plan du site|ajouter au panier
        hors ligne|déconnexion|recherche|politique de confidentialité|voir les commentaires|je m'abonne|s'abonner
        agrandir|volver arriba|volver|inicio|iniciar sesión|registrarse|buscar|cerrar|siguiente|anterior|aviso legal
        política de privacidad|añadir al carrito|añadir a la cesta|suscríbete|mapa del sitio|regístrate
        política de cookies|contáctanos|entrar|torna su|accedi|registrati|cerca|chiudi|successivo|precedente
        contatti|note legali|aggiungi al carrello|iscriviti|naar boven|terug|inloggen|registreren|zoeken|sluiten
        volgende|vorige|aanmelden|terug naar boven|winkelwagen|in winkelwagen|till toppen|tillbaka|tillbaka upp
        logga in|logga ut|bli medlem|sök|stäng|nästa|föregående|kundtjänst|meny|äldre inlägg|senare inlägg
        nyare inlägg|startsida|visa hela min profil|till startsidan|skapa konto|köp|lägg i varukorg|registrera
        registrera dig|prenumerera|allmänna villkor|om oss|mitt konto|glömt lösenord|glömt lösenordet?|till kassan
        huvudmeny|redigera wikitext|inte inloggad|användarnamn|lösenord|användarnamn *|länkar till det här inlägget
        förbehåll|takaisin ylös|takaisin|etusivu|kirjaudu|kirjaudu sisään|rekisteröidy|hae|haku|sulje|seuraava
        edellinen|ota yhteyttä|lisää ostoskoriin|ostoskori|tilaa uutiskirje|valikko|yhteystiedot|sivun alkuun
        vanhemmat tekstit|uudemmat tekstit|voltar|voltar ao topo|início|pesquisar|fechar|próximo|seguinte|contato
        mapa do site|cadastre-se|do góry|powrót|wstecz|zaloguj|zaloguj się|zarejestruj się|szukaj|zamknij|następny
        poprzedni|dodaj do koszyka|tilbage|til toppen|log ind|søg|luk|næste|forrige|tilbake|logg inn|lukk|neste|søk
        læg i kurv|legg i handlekurv|наверх|назад|вперед|войти|регистрация|поиск|закрыть|главная|вход
        ログイン|トップへ戻る
        ページトップへ|返回顶部|登录|注册|首页""",
    "comment": """
        comments|publier un nouveau commentaire|hinterlasse einen kommentar|view comments|comments (0)|0 comments
        leave a comment|leave a reply|post a comment|add a comment|write a comment|add comment|post comment|reply
        cancel reply|leave a reply cancel reply
        comments are closed|comments are closed.|no comments|no comments:|no comments yet
        be the first to comment|be the first to comment!|comments closed|comments off
        your email address will not be published|your email address will not be published.
        required fields are marked *|save my name, email, and website in this browser for the next time i comment.
        your email address will not be published. required fields are marked *|login to comment|log in to comment
        log in to reply
        login to reply|log in or register to post comments|login or register to post comments|like this:
        you must be logged in to post a comment|you must be logged in to post a comment.
        notify me of new posts by email.
        notify me of follow-up comments by email.|sign in to comment|view all comments|show comments|hide comments
        join the conversation|post your comment|like loading...|you must log in to post a comment.
        please enable javascript to view the comments powered by disqus.|comments powered by disqus
        comments powered by disqus.|report comment|write a review|be the first to review this product
        kommentar schreiben
        kommentar hinterlassen|schreibe einen kommentar|antworten|kommentar verfassen|keine kommentare
        deine e-mail-adresse wird nicht veröffentlicht.|antworten abbrechen|kommentieren|kommentar abgeben
        keine kommentare:|laisser un commentaire|ajouter un commentaire|répondre|poster un commentaire
        aucun commentaire|aucun commentaire:|votre adresse e-mail ne sera pas publiée.|écrire un commentaire
        connectez-vous et commentez|annuler la réponse|deja un comentario|dejar un comentario|responder|comentar
        no hay comentarios|añadir comentario|deja una respuesta|no hay comentarios:
        tu dirección de correo electrónico no será publicada.|cancelar respuesta|publicar un comentario
        lascia un commento|rispondi|nessun commento|nessun commento:|annulla risposta|reageren|plaats een reactie
        geef een reactie|kommentera|kommentera →|skriv en kommentar|skicka en kommentar|kommentera inlägget här »
        lämna ett svar|svara|inga kommentarer|lämna en kommentar|inga kommentarer:|kommentarer till inlägget (atom)
        avbryt svar|din e-postadress kommer inte publiceras.|kommentoi|jätä kommentti|vastaa|ei kommentteja
        lähetä kommentti|ei kommentteja:|kirjoita kommentti|deixe um comentário|deixe uma resposta|sem comentários
        nenhum comentário|dodaj komentarz|odpowiedz|brak komentarzy|legg igjen en kommentar|ingen kommentarer
        ответить|оставить комментарий|комментарии|返信|コメントする""",
}
# In front of a colon, in a line of at most 160 characters: what follows is the name of another page.
BEFORE_COLON: Mapping[str, str] = {
    "related": """
        related|read more|read next|see also|also read|read also|more|watch|also see|related story|related stories
        related article|related articles|related link|related links|related content|related news|don't miss
        recommended|you may also like|read this next|up next|previous post|next post|previous article|next article
        lesen sie auch|mehr zum thema|lesen sie mehr|auch interessant|lire aussi|à lire aussi|sur le même sujet
        lea también|lee también|leer más|leggi anche|lees ook|lees meer|läs också|läs mer|läs även|lue myös
        lue lisää|leia mais|leia também|czytaj także|czytaj też|zobacz też|les også|læs også|читайте также""",
    "share": """
        share|share this|share on|follow us on|follow us|teilen|partager|compartir|dela|jaa|condividi|delen""",
    "credit": """
        image credit|image credits|photo credit|photo credits|picture credit|image source|photo source|image courtesy
        photo courtesy|image courtesy of|photo courtesy of|photo by|photos by|image by|photo via|image via|image|photo
        credit|bildnachweis|fotocredit|bildquelle|crédit photo|crédits photo|źródło zdjęcia głównego""",
}
# A line of at most 80 characters and ten words with a slash that ends with an agency, or with an agency's images.
AGENCIES = """
    ap afp reuters getty epa shutterstock istock alamy wireimage dpa pap tass imago unsplash pexels pixabay"""
IMAGES = """
    images photo photos"""
# Lines of nothing but these words, at least two of them, one of the first list.
NETWORKS = """
    facebook twitter pinterest linkedin whatsapp reddit tumblr instagram youtube flipboard telegram stumbleupon digg
    delicious messenger pocket tweet email"""
SHARE_WORDS = """
    share this on via to with by and or e mail print copy link google plus rss x icon opens in new window click more
    save post article page story comments comment follow us like pin it send snapchat vk xing viber line sms buffer
    evernote blogger linked threads mastodon bluesky teilen drucken partager imprimer compartir condividi delen dela
    jaa partilhar auf sur en op på url"""
# A line of at most 300 characters with a word of the first list and three of the second is a notice on cookies.
COOKIES = """
    cookie cookies evästeitä evästeet evästeiden kakor ciasteczka informasjonskapsler куки"""
CONSENT = """
    accept accepting agree consent browsing browse policy preferences privacy settings experience visitors improve
    personalise personalize website site continue continuing uses webseite website nutzung stimmen zustimmen
    akzeptieren verwendet verwenden datenschutz accepter acceptez navigation poursuivant utilise utilisons
    utilisation navegación aceptar acepta utiliza utilizamos utilizziamo utilizza accetti accetta navigazione
    gebruikt gebruik akkoord använder godkänner samtycker webbplats webbplatsen käytämme käyttää hyväksyt sivusto
    aceita utilizamos używamy korzysta akceptuje bruker bruger godtar accepterer сайт используем"""
