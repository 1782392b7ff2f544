"""Common function words by language, lower case, without punctuation: the commonest articles, pronouns, prepositions,
conjunctions and auxiliaries that any grammar lists. English is Gopher's own list (arXiv:2112.11446, A1.1).

A text in the language that holds fewer than two different ones is rarely running text. At most 64 per language.
"""

STOP_WORDS = {
    "en": "the be to of and that have with",
    "ar": "في من على إلى أن عن مع هذا هذه التي الذي ما لا كان ذلك بين أو ثم قد و",
    "bg": "на и в за се да от с е не че по като са до със но или към това",
    "bn": "এবং এই থেকে করে হয় জন্য তার একটি ও না করা যে সঙ্গে কিন্তু বা হয়ে",
    "bo": "དང ལ གི ཀྱི གྱི ནས དུ ཡོད འདི ཡིན",
    "ca": "de la i el que a en les els per un una amb del no és es al com",
    "cs": "a v se na je že z s do o k i to pro jako by ale podle ve po",
    "da": "og i at er en den til på det af for med der som ikke de et har om var",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an",
    "el": "και το του της η ο την με για από στο να τα που οι στην είναι τον σε δεν",
    "es": "de la que el en y a los se del las un por con no una su para es al lo como",
    "et": "ja on ei et see ka oli kui aga mis oma või ta ning kes siis",
    "fa": "و در به از که این را با است برای آن یک تا بر هم یا شد خود می",
    "fi": "ja on ei että se oli hän mutta myös joka ovat kun niin tai sen kuin voi",
    "fr": "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il avec",
    "he": "של את על לא הוא היא עם זה כי או גם אל יש אני כל אבל",
    "hi": "के में की है और से का को पर ने यह हैं एक भी कि नहीं था लिए या",
    "hr": "i u je na se da za od su s a o kao koji ne što bi sa ili",
    "hu": "a az és hogy nem is egy ez meg de van volt csak már mint el ha vagy azt",
    "id": "yang dan di ini dengan untuk dari pada tidak itu dalam adalah akan juga ke oleh atau",
    "it": "di e il la che in a per un del è una i con non le si da della dei al come più",
    "ja": "の に は を た が で て と し れ さ も な こと する ます です いる ない から",
    "km": "និង បាន នៅ ជា ដែល មាន ក្នុង ពី របស់ នេះ ការ មិន ទៅ ឬ",
    "ko": "이 그 및 수 있는 있다 등 의 에서 것 한 하는 은 는 를 을 에",
    "lo": "ແລະ ຂອງ ໃນ ທີ່ ໄດ້ ມີ ເປັນ ການ ນີ້ ບໍ່ ຈະ ໃຫ້ ກັບ ຫຼື",
    "lt": "ir yra į kad su iš tai o ar bet kaip buvo per po dėl apie už nuo",
    "lv": "un ir ar no ka uz par kas arī kā bet tas pie vai to bija",
    "ms": "yang dan di ini dengan untuk dari pada tidak itu dalam adalah akan juga ke oleh atau",
    "my": "သည် ကို များ ၏ နှင့် တွင် က မှ သော ပါ တယ် ဖြစ် ရန်",
    "nl": "de van het een en in is dat op te zijn met voor niet die aan er om ook als bij",
    "no": "og i det er på som en til å av for at med de ikke den har et om var",
    "pl": "w i na z się do nie to że jest o jak po od za a przez dla ale co oraz",
    "pt": "de a o que e do da em um para com não uma os no se na por mais as dos ao é",
    "ro": "de și în a la cu pe nu o din că este pentru un mai care se sau ca fi",
    "ru": "и в не на что с по как это к но из у за то от о для же а так",
    "sk": "a v sa na je že s z do o ako to pre aj by po ale k sú alebo",
    "sl": "in je v na se da za so ki z s pa ne tudi kot po bi od ali",
    "sr": "и у је на се да за од су са а о као који не i u je na se da za od su sa kao",
    "sv": "och i att det som en på är av för med den till inte de om ett har han var",
    "sw": "ya na wa kwa ni katika la za cha kuwa hii hiyo au kama lakini pia",
    "ta": "ஒரு மற்றும் இந்த என்று அந்த என இது அது ஆனால் உள்ள என்ற",
    "th": "ที่ และ ใน เป็น การ ของ มี ได้ จะ ไม่ ให้ ว่า กับ จาก นี้ แต่ หรือ",
    "tr": "ve bir bu da de için ile olarak çok daha gibi ne olan ama en o her kadar",
    "uk": "і в на з що не до за як у та це для від про по але є або й",
    "ur": "کے میں کی ہے اور سے کا کو پر نے یہ ایک ہیں بھی کہ نہیں",
    "vi": "và của là có được trong cho không một các những này với người để khi đã đó",
    "zh": "的 是 在 了 和 不 有 人 这 我 他 也 就 与 为 以 对 而 或 這 個 为了 我们 他们",
}

# ISO 639-3 codes (and what detectors use for a whole group) of the languages above.
SHORT_CODES = {
    "eng": "en", "ara": "ar", "arb": "ar", "bul": "bg", "ben": "bn", "bod": "bo", "cat": "ca", "ces": "cs", "dan": "da",
    "deu": "de", "ell": "el", "spa": "es", "est": "et", "ekk": "et", "fas": "fa", "pes": "fa", "fin": "fi", "fra": "fr",
    "heb": "he", "hin": "hi", "hrv": "hr", "hun": "hu", "ind": "id", "ita": "it", "jpn": "ja", "khm": "km", "kor": "ko",
    "lao": "lo", "lit": "lt", "lav": "lv", "lvs": "lv", "msa": "ms", "zsm": "ms", "mya": "my", "nld": "nl", "nor": "no",
    "nob": "no", "nb": "no", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru", "slk": "sk", "slv": "sl", "srp": "sr",
    "swe": "sv", "swa": "sw", "swh": "sw", "tam": "ta", "tha": "th", "tur": "tr", "ukr": "uk", "urd": "ur", "vie": "vi",
    "zho": "zh", "cmn": "zh",
}  # fmt: skip

# English abbreviations whose full stop does not end a sentence: titles, company forms, references, months.
ABBREVIATIONS = (
    "Mr Mrs Ms Dr Prof Rev Gen Gov Sen Rep Col Lt Capt Sgt St Jr Sr Hon Inc Ltd Co Corp Bros Dept Univ vs etc "
    "al cf viz approx No Vol pp Fig Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Ph Ave Blvd Mt Ft"
)
