"""English and Spanish: the sentences that documents show, and the Spanish meanings of the codes."""

from typing import Final

from pydicom import Dataset
from pydicom.sr.coding import Code

from cxr_node.documents.request import Language

SENTENCES: Final[dict[str, dict[Language, str]]] = {
    "series.sr": {"en": "AI chest report ({model})", "es": "Informe de tórax por IA ({model})"},
    "series.sc": {"en": "AI heat map ({model})", "es": "Mapa de calor por IA ({model})"},
    "derivation": {
        "en": "Film with what {model} {version} looked at",
        "es": "Radiografía con lo que observó {model} {version}",
    },
    "revision": {"en": "Rev {number}", "es": "Rev {number}"},
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
        "es": "Solo para investigación o priorización - no apto para diagnóstico",
    },
    "group.finding": {"en": "{finding}, image {number}", "es": "{finding}, imagen {number}"},
    "group.output": {
        "en": "Algorithm output for {finding}, below threshold, image {number}",
        "es": "Resultado del algoritmo para {finding}, por debajo del umbral, imagen {number}",
    },
    "comment.failed": {"en": "Image {number}: not analysed", "es": "Imagen {number}: no analizada"},
    "comment.pending": {
        "en": "Image {number}: analysis not finished when this report was made",
        "es": "Imagen {number}: análisis sin terminar al elaborar este informe",
    },
    "comment.below": {
        "en": "Image {number}: below threshold, algorithm output {percent} %",
        "es": "Imagen {number}: por debajo del umbral, resultado del algoritmo {percent} %",
    },
    "comment.flag": {"en": "Image {number}: {flag}", "es": "Imagen {number}: {flag}"},
    "flag.inverted": {
        "en": "black and white looked exchanged; analysed and shown the other way round",
        "es": "el blanco y el negro parecían invertidos; analizada y mostrada al revés",
    },
    "flag.turned_90": {
        "en": "looks turned by 90 degrees counter-clockwise; analysed as it is",
        "es": "parece girada 90 grados en sentido antihorario; analizada tal cual",
    },
    "flag.turned_180": {
        "en": "looks upside down; analysed as it is",
        "es": "parece estar boca abajo; analizada tal cual",
    },
    "flag.turned_270": {
        "en": "looks turned by 90 degrees clockwise; analysed as it is",
        "es": "parece girada 90 grados en sentido horario; analizada tal cual",
    },
    "flag.cropped": {
        "en": "part of the chest seems to be missing",
        "es": "parece faltar parte del tórax",
    },
    "flag.unusual": {
        "en": "unlike the films that the quality check was made with",
        "es": "distinta de las radiografías con las que se creó el control de calidad",
    },
    "flag.unsure": {
        "en": "not certain to be a frontal chest film",
        "es": "no es seguro que sea una radiografía frontal de tórax",
    },
    "parameter.digest": {"en": "Weights SHA-256 {digest}", "es": "Pesos SHA-256 {digest}"},
    "parameter.cutoffs": {
        "en": "Positive from {threshold} %, medium tier from {medium} %, high tier from {high} %",
        "es": "Positivo desde {threshold} %, nivel medio desde {medium} %, nivel alto desde {high} %",
    },
    "parameter.prevalence": {
        "en": "Calibrated for a prevalence of {prevalence} %",
        "es": "Calibrado para una prevalencia del {prevalence} %",
    },
    "parameter.uncalibrated": {
        "en": "Not calibrated for the prevalence of this site",
        "es": "Sin calibrar para la prevalencia de este centro",
    },
    "parameter.site": {
        "en": "Recalibrated at this site, SHA-256 {digest}",
        "es": "Recalibrado en este centro, SHA-256 {digest}",
    },
    "parameter.intended_use": {"en": "Intended use: {use}", "es": "Uso previsto: {use}"},
    "picture.flags": {"en": "Film: {flags}", "es": "Radiografía: {flags}"},
    "picture.certainty": {"en": "{finding}: certainty {percent} %", "es": "{finding}: certeza {percent} %"},
    "picture.probability": {"en": "{finding}: probability {percent} %", "es": "{finding}: probabilidad {percent} %"},
    "picture.negative": {"en": "{finding}: below threshold", "es": "{finding}: por debajo del umbral"},
    "picture.nothing_else": {"en": "Nothing else was assessed", "es": "No se evaluó nada más"},
    "picture.threshold": {"en": "Threshold {threshold} %", "es": "Umbral {threshold} %"},
    "picture.no_region": {"en": "no region to show", "es": "sin región que mostrar"},
    "picture.model": {
        "en": "Model {model} {version}, build {digest}",
        "es": "Modelo {model} {version}, compilación {digest}",
    },
    "picture.time": {"en": "Analysed {time} UTC{offset}", "es": "Analizado {time} UTC{offset}"},
    "picture.scale": {"en": "What the model looked at", "es": "Lo que observó el modelo"},
    "picture.low": {"en": "least", "es": "mínimo"},
    "picture.high": {"en": "most", "es": "máximo"},
}

SPANISH: Final[dict[tuple[str, str], str]] = {
    ("en", "RFC5646"): "Inglés",
    ("es", "RFC5646"): "Español",
    ("126000", "DCM"): "Informe de mediciones de imagen",
    ("121049", "DCM"): "Idioma del elemento y sus descendientes",
    ("121005", "DCM"): "Tipo de observador",
    ("121007", "DCM"): "Dispositivo",
    ("121012", "DCM"): "UID del dispositivo observador",
    ("121013", "DCM"): "Nombre del dispositivo observador",
    ("121014", "DCM"): "Fabricante del dispositivo observador",
    ("121015", "DCM"): "Modelo del dispositivo observador",
    ("121016", "DCM"): "Número de serie del dispositivo observador",
    ("121058", "DCM"): "Procedimiento informado",
    ("43468-8", "LN"): "Radiografía de región corporal no especificada",
    ("109102", "DCM"): "Equipo de procesamiento",
    ("121322", "DCM"): "Imagen de origen de la operación de procesamiento",
    ("111028", "DCM"): "Biblioteca de imágenes",
    ("126200", "DCM"): "Grupo de la biblioteca de imágenes",
    ("260753009", "SCT"): "Origen",
    ("121139", "DCM"): "Modalidad",
    ("CR", "DCM"): "Radiografía computarizada",
    ("DX", "DCM"): "Radiografía digital",
    ("110910", "DCM"): "Filas de píxeles",
    ("110911", "DCM"): "Columnas de píxeles",
    ("111044", "DCM"): "Orientación del paciente, fila",
    ("111043", "DCM"): "Orientación del paciente, columna",
    ("111026", "DCM"): "Espaciado horizontal de píxeles",
    ("111066", "DCM"): "Espaciado vertical de píxeles",
    ("111031", "DCM"): "Proyección de la imagen",
    ("272479007", "SCT"): "posteroanterior",
    ("399348003", "SCT"): "anteroposterior",
    ("399173006", "SCT"): "lateral izquierda",
    ("399198007", "SCT"): "lateral derecha",
    ("%", "UCUM"): "Porcentaje",
    ("{pixels}", "UCUM"): "Píxeles",
    ("mm", "UCUM"): "mm",
    ("126010", "DCM"): "Mediciones de imagen",
    ("125007", "DCM"): "Grupo de mediciones",
    ("112039", "DCM"): "Identificador de seguimiento",
    ("112040", "DCM"): "Identificador único de seguimiento",
    ("121071", "DCM"): "Hallazgo",
    ("363698007", "SCT"): "Localización del hallazgo",
    ("39607008", "SCT"): "Estructura pulmonar",
    ("233604007", "SCT"): "Neumonía",
    ("53084003", "SCT"): "Neumonía bacteriana",
    ("75570004", "SCT"): "Neumonía viral",
    ("840544004", "SCT"): "Sospecha de COVID-19",
    ("112001", "DCM"): "Opacidad",
    ("111012", "DCM"): "Certeza del hallazgo",
    ("111023", "DCM"): "Diagnóstico diferencial/impresión",
    ("111013", "DCM"): "Certeza de la impresión",
    ("122157", "DCM"): "Probabilidad",
    ("121112", "DCM"): "Origen de la medición",
    ("111030", "DCM"): "Región de la imagen",
    ("111001", "DCM"): "Nombre del algoritmo",
    ("111003", "DCM"): "Versión del algoritmo",
    ("122405", "DCM"): "Fabricante del algoritmo",
    ("111002", "DCM"): "Parámetros del algoritmo",
    ("111000", "DCM"): "Familia del algoritmo",
    ("123110", "DCM"): "Inteligencia artificial",
    ("260870009", "SCT"): "Prioridad",
    ("RID49481", "RADLEX"): "Hallazgo que requiere actuación, categoría 2 del ACR",
    ("RID49482", "RADLEX"): "Hallazgo que requiere actuación, categoría 3 del ACR",
    ("111101", "DCM"): "Calidad de la imagen",
    ("RID12", "RADLEX"): "Calidad diagnóstica",
    ("RID13", "RADLEX"): "Calidad limitada",
    ("RID14", "RADLEX"): "Calidad no diagnóstica",
    ("111017", "DCM"): "Resumen del procesamiento y los hallazgos del CAD",
    ("111241", "DCM"): "Todos los algoritmos completados; sin hallazgos",
    ("111242", "DCM"): "Todos los algoritmos completados; con hallazgos",
    ("111243", "DCM"): "No todos los algoritmos completados; sin hallazgos",
    ("111244", "DCM"): "No todos los algoritmos completados; con hallazgos",
    ("121106", "DCM"): "Comentario",
    ("130401", "DCM"): "Explicación visual",
    ("130402", "DCM"): "Activación de clase",
    ("130403", "DCM"): "Activación de clase ponderada por gradiente",
    ("130404", "DCM"): "Saliencia",
}


def sentence(key: str, language: Language, **values: object) -> str:
    """The sentence `key` with its values filled in. Raises KeyError for a key that it does not have."""
    return SENTENCES[key][language].format(**values)


def named(code: Code, language: Language) -> Code:
    """A code of ours, with its meaning in `language`. Raises KeyError for a code that is not in the catalogue."""
    key = (code.value, code.scheme_designator)
    return code if language == "en" else Code(*key, SPANISH[key])


def translate(content: Dataset, language: Language) -> None:
    """Gives the codes in a content tree their meanings in `language`, in place; a site's own codes keep theirs."""
    if language == "en":
        return
    for element in content:
        for item in element.value if element.VR == "SQ" else ():
            if "CodeValue" in item:
                key = (item.CodeValue, item.CodingSchemeDesignator)
                item.CodeMeaning = SPANISH.get(key, item.CodeMeaning)
            translate(item, language)
