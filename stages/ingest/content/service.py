"""Finds pages that are no content but a site's service (log-in, account, cart, not found, consent) by their titles.

A whole part of the title has to be such a name, and the text has to be short.
"""

import re
from functools import cache

SHORT_CHARS = 1500  # an article on logging in is longer
_PART = re.compile(r"(?<!\s)\s+[|–—·»«:>-]\s+|(?<!\s)\s*[|»«]\s*|:\s+")
_LETTERS = re.compile(r"[\W_]+")
_NAMES = {
    "login_page": """
        log in|login|log on|logon|sign in|signin|user login|member login|members login|customer login
        account login|log in or sign up|please log in|please login|login required|sign in or register
        login or register|login register|log in register|login to your account|log in to your account
        sign in to your account|log in to facebook|log into facebook|member sign in|admin login|wordpress login
        webmail login|sign in to continue|login page|anmelden|anmeldung|einloggen|connexion|se connecter
        identification|iniciar sesión|inicio de sesión|acceder|accedi|inloggen|aanmelden|logga in|kirjaudu
        kirjaudu sisään|log ind|logg inn|entrar|iniciar sessão|zaloguj się|logowanie|вход|авторизация|войти
        giriş yap|giriş|üye girişi|ログイン|登录|登入|로그인|přihlášení|bejelentkezés|autentificare|đăng nhập""",
    "account_page": """
        register|registration|sign up|create account|create an account|create new account|new account
        user account|my account|your account|user registration|forgot password|forgot your password
        forgotten password|lost password|reset password|password reset|reset your password|request new password
        registrieren|passwort vergessen|mein konto|mot de passe oublié|inscription|créer un compte|mon compte
        crear cuenta|crear una cuenta|mi cuenta|registrarse|registro|recuperar contraseña|registrati
        password dimenticata|registreren|wachtwoord vergeten|skapa konto|mitt konto|glömt lösenord|rekisteröidy
        criar conta|cadastro|zarejestruj się|rejestracja|регистрация|восстановление пароля|kayıt ol|üye ol
        会員登録|注册|회원가입""",
    "cart_page": """
        cart|shopping cart|your cart|your shopping cart|my cart|basket|shopping basket|your basket|shopping bag
        your bag|checkout|check out|wishlist|wish list|my wishlist|warenkorb|kasse|merkzettel|panier|mon panier
        votre panier|carrito|carrito de compra|mi carrito|carrello|winkelwagen|winkelmand|varukorg|kundvagn
        ostoskori|indkøbskurv|handlekurv|carrinho|carrinho de compras|koszyk|корзина|sepetim|カート|购物车
        장바구니""",
    "not_found_page": """
        404|404 not found|not found|page not found|404 page not found|page not found 404|404 error|error 404
        error 404 not found|404 file not found|file not found|page cannot be found|the page cannot be found
        this page cannot be found|page can t be found|the page you requested was not found|http 404|404 page
        oops page not found|oops that page can t be found|nothing found|nothing found for|page does not exist
        page unavailable|page not available|content not found|object not found|product not found
        seite nicht gefunden|404 seite nicht gefunden|fehler 404|nicht gefunden|page non trouvée
        page introuvable|erreur 404|página no encontrada|no encontrado|página não encontrada|pagina non trovata
        errore 404|pagina niet gevonden|sidan hittades inte|sidan kunde inte hittas|sivua ei löydy
        sivua ei löytynyt|siden blev ikke fundet|siden finnes ikke|nie znaleziono strony
        strona nie została znaleziona|страница не найдена|ошибка 404|sayfa bulunamadı|ページが見つかりません
        找不到页面|access denied|403 forbidden|forbidden|error 403|403|500 internal server error
        internal server error|service unavailable|503 service unavailable|bad request|401 unauthorized
        unauthorized|access forbidden""",
    "consent_page": """
        before you continue to youtube|before you continue to google|before you continue|bevor sie fortfahren
        bevor sie zu google weitergehen|avant de continuer|cookie consent|cookies consent|consent
        you are being redirected|redirecting|just a moment|attention required cloudflare|are you a robot
        checking your browser|robot check|security check|age verification|are you over 18
        yahoo is part of the yahoo family of brands|captcha|please wait""",
}  # fmt: skip
RULES = tuple(_NAMES)


@cache
def _rules() -> dict[str, str]:
    names = ((rule, name) for rule, text in _NAMES.items() for line in text.split("\n") for name in line.split("|"))
    return {_key(name): rule for rule, name in names if name.strip()}


def _key(name: str) -> str:
    return _LETTERS.sub(" ", name.lower()).strip()


def service_of(title: str | None, text: str) -> str | None:
    """The rule of `RULES` that a page with this title and text breaks, or None."""
    if not title or len(text) > SHORT_CHARS:
        return None
    for part in (title, *_PART.split(title)):
        if rule := _rules().get(_key(part)):
            return rule
    return None
