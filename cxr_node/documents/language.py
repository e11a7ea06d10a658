"""English and Spanish: the meanings of the codes and the sentences of our own that documents show."""

from pydicom import Dataset
from pydicom.sr.coding import Code

from cxr_node.documents.request import Language

SENTENCES: dict[str, dict[Language, str]] = {
    "summary": {"en": "Study summary", "es": "Resumen del estudio"},
    "revision": {"en": "Rev {number}", "es": "Rev {number}"},
    "image.finding": {"en": "{finding}, image {number}", "es": "{finding}, imagen {number}"},
    "image.kind": {"en": "Likelier kind, image {number}", "es": "Tipo más probable, imagen {number}"},
    "image.output": {
        "en": "Algorithm output for {finding}, below threshold, image {number}",
        "es": "Salida del algoritmo para {finding}, bajo el umbral, imagen {number}",
    },
    "parameter.digest": {"en": "Weights SHA-256 {digest}", "es": "Pesos SHA-256 {digest}"},
    "parameter.cutoffs": {
        "en": "Positive from {threshold} %, tier medium from {medium} %, tier high from {high} %",
        "es": "Positivo desde {threshold} %, nivel medio desde {medium} %, nivel alto desde {high} %",
    },
    "parameter.prevalence": {
        "en": "Calibrated for a prevalence of {prevalence} %",
        "es": "Calibrado para una prevalencia de {prevalence} %",
    },
    "parameter.uncalibrated": {
        "en": "Not calibrated for the prevalence of this site",
        "es": "Sin calibrar para la prevalencia de este centro",
    },
    "intended_use.shadow": {
        "en": "Research use only - not for diagnosis",
        "es": "Solo para investigación - no apto para diagnóstico",
    },
    "intended_use.triage": {
        "en": "Prioritisation only - not for diagnosis",
        "es": "Solo para priorización - no apto para diagnóstico",
    },
    "intended_use.full": {
        "en": "Research use / prioritisation only - not for diagnosis",
        "es": "Solo para investigación / priorización - no apto para diagnóstico",
    },
    "derivation": {
        "en": "Explanation map of {model} {version} over the film",
        "es": "Mapa explicativo de {model} {version} sobre la placa",
    },
    "picture.positive": {"en": "Positive (threshold {threshold} %)", "es": "Positivo (umbral {threshold} %)"},
    "picture.negative": {
        "en": "Below threshold ({threshold} %): no region shown",
        "es": "Por debajo del umbral ({threshold} %): no se muestra ninguna región",
    },
    "picture.model": {"en": "Model {model} {version} ({digest})", "es": "Modelo {model} {version} ({digest})"},
    "picture.low": {"en": "little", "es": "poco"},
    "picture.high": {"en": "most", "es": "máximo"},
    "picture.scale": {"en": "What the model looked at", "es": "Lo que miró el modelo"},
    "series.sr": {"en": "AI chest report ({model})", "es": "Informe de IA de tórax ({model})"},
    "series.sc": {"en": "AI heat map ({model})", "es": "Mapa de calor de IA ({model})"},
}

SPANISH_MEANINGS: dict[tuple[str, str], str] = {
    ("233604007", "SCT"): "Neumonía",
}


def sentence(key: str, language: Language, **values: object) -> str:
    """The sentence `key` with its values filled in. Raises KeyError for a key or value that it does not have."""
    return SENTENCES[key][language].format(**values)


def meaning(code: Code, language: Language) -> str:
    """What a code is called; in its own words where we have none for it, as for the procedures of a site."""
    if language == "en":
        return code.meaning
    return SPANISH_MEANINGS.get((code.value, code.scheme_designator), code.meaning)


def translate(dataset: Dataset, language: Language) -> None:
    """Gives every code in the tree its meaning in `language`, in place."""
    if language == "en":
        return
    for element in dataset:
        if element.VR != "SQ":
            continue
        for item in element.value:
            if "CodeMeaning" in item:
                key = (item.get("CodeValue", ""), item.CodingSchemeDesignator)
                item.CodeMeaning = SPANISH_MEANINGS.get(key, item.CodeMeaning)
            translate(item, language)
