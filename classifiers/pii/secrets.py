"""Finds keys, tokens and passwords by the prefixes and forms that their issuers publish for secret scanners."""

import re

_PEM_BODY = r"(?:[\w+/=\s:,.]|-(?!-)){40,8000}-----END[A-Z0-9 ]{1,45}-----"  # RFC 7468; 8192-bit RSA keys have 6.4 kB

# Forms as the issuers document them and public secret scanners (gitleaks, trufflehog, GitHub secret scanning) use them.
# (needle: a text that every such secret holds, form). Needles are looked for in all texts, forms only where one is.
SECRETS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (needle, re.compile(form))
    for needle, form in (
        ("PRIVATE KEY", r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY[ A-Z]{0,6}-----" + _PEM_BODY),
        ("AKIA", r"\bAKIA[A-Z2-7]{16}\b"),
        ("ASIA", r"\bASIA[A-Z2-7]{16}\b"),
        ("ghp_", r"\bghp_[A-Za-z0-9]{36}\b"),
        ("gho_", r"\bgho_[A-Za-z0-9]{36}\b"),
        ("ghu_", r"\bghu_[A-Za-z0-9]{36}\b"),
        ("ghs_", r"\bghs_[A-Za-z0-9]{36}\b"),
        ("ghr_", r"\bghr_[A-Za-z0-9]{36}\b"),
        ("github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{82}\b"),
        ("glpat-", r"\bglpat-[\w-]{20}\b"),
        ("xox", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,72}\b"),
        ("hooks.slack.com", r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9+/]{43,56}"),
        ("sk_live_", r"\bsk_live_[A-Za-z0-9]{10,99}\b"),
        ("rk_live_", r"\brk_live_[A-Za-z0-9]{10,99}\b"),
        ("AIza", r"\bAIza[\w-]{35}(?![\w-])"),
        ("GOCSPX-", r"\bGOCSPX-[\w-]{28}(?![\w-])"),
        ("ya29.", r"\bya29\.[\w-]{30,200}"),
        ("sk-ant-", r"\bsk-ant-(?:api|admin)\d{2}-[\w-]{80,110}"),
        ("T3BlbkFJ", r"\bsk-(?:proj-|svcacct-|admin-)?[\w-]{20,100}T3BlbkFJ[\w-]{20,100}"),
        ("hf_", r"\bhf_[A-Za-z]{34}\b"),
        ("npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("pypi-AgE", r"\bpypi-AgEIcHlwaS5vcmc[\w-]{50,200}"),
        ("SG.", r"\bSG\.[\w-]{22}\.[\w-]{43}(?![\w-])"),
        ("shpat_", r"\bshpat_[a-fA-F0-9]{32}\b"),
        ("dop_v1_", r"\bdop_v1_[a-f0-9]{64}\b"),
        ("dckr_pat_", r"\bdckr_pat_[\w-]{27}(?![\w-])"),
        ("AGE-SECRET-KEY-1", r"\bAGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}\b"),
        ("eyJ", r"\beyJ[A-Za-z0-9_-]{15,2000}\.eyJ[A-Za-z0-9_-]{15,4000}\.[A-Za-z0-9_-]{20,1000}"),
        (":AA", r"\b\d{8,10}:AA[\w-]{33}(?![\w-])"),
        ("AccountKey=", r"\bAccountKey=[A-Za-z0-9+/]{86}=="),
        ("key-", r"\bkey-[a-f0-9]{32}\b"),
        ("SK", r"\bSK[a-f0-9]{32}\b"),
        ("lin_api_", r"\blin_api_[A-Za-z0-9]{40}\b"),
        ("EAACEdEose0cBA", r"\bEAACEdEose0cBA[A-Za-z0-9]{20,300}\b"),
    )
)  # fmt: skip
NEEDLES = (*(needle for needle, _ in SECRETS if needle != "SK"), *(f"SK{digit}" for digit in "0123456789abcdef"))
# The part that must not be shown of an address with a password: scheme://user:PASSWORD@host
_PASSWORD = re.compile(r"(?<=://)[^\s:/@\"'<>{}$%]{1,64}:([^\s:/@\"'<>{}$%\[\]*]{3,64})@(?=[\w.-]{2,})")
_MADE_UP = re.compile(
    r"(?i)^(?:pass(?:word|wd)?|pwd|secret|user(?:name)?|xxx+|\.\.\.|your.*|my.*|foo|bar|test|example.*)\d*$"
)


def find_secrets(text: str) -> list[tuple[int, int]]:
    """(begin, end) in characters of each key, token and password, in order; made-up ones of manuals are none."""
    found = [m.span() for needle, form in SECRETS if needle in text for m in form.finditer(text) if _varied(m.group())]
    if "://" in text and "@" in text:
        found += [m.span(1) for m in _PASSWORD.finditer(text) if not _MADE_UP.match(m.group(1))]
    return sorted(found)


def _varied(secret: str) -> bool:
    """Not AKIAXXXXXXXXXXXXXXXX, ghp_xxxx..., nor Amazon's own AKIAIOSFODNN7EXAMPLE."""
    return len(set(secret[4:])) >= 8 and "EXAMPLE" not in secret.upper()
