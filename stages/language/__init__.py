from gristmill.stages.language.identify import Language, LanguageGate

__all__ = ["Language", "LanguageGate"]
