"""What shells, git and compilers say in the operator's language, in English: a locale is no cause."""

# ruff: noqa: RUF001 -- these are their words

import re

_WORDS = (
    ("command not found", (
        "Kommando nicht gefunden", "Befehl nicht gefunden", "commande introuvable", "orden no encontrada",
        "comando non trovato", "comando não encontrado", "opdracht niet gevonden", "nie znaleziono polecenia",
        "команда не найдена", "未找到命令", "コマンドが見つかりません",
    )),
    ("No such file or directory", (
        "Datei oder Verzeichnis nicht gefunden", "Aucun fichier ou dossier de ce type",
        "Aucun fichier ou dossier de ce nom", "No existe el fichero o el directorio",
        "No existe el archivo o el directorio", "File o directory non esistente",
        "Arquivo ou diretório inexistente", "Arquivo ou diretório não encontrado", "Bestand of map bestaat niet",
        "Nie ma takiego pliku ani katalogu", "Нет такого файла или каталога", "没有那个文件或目录",
        "そのようなファイルやディレクトリはありません",
    )),
    ("Permission denied", (
        "Keine Berechtigung", "Permission non accordée", "Permiso denegado", "Permesso negato",
        "Permissão negada", "Toegang geweigerd", "Отказано в доступе", "权限不够", "許可がありません",
    )),
    ("No space left on device", (
        "Auf dem Gerät ist kein Speicherplatz mehr verfügbar", "Aucun espace disponible sur le périphérique",
        "No queda espacio en el dispositivo", "Spazio esaurito sul device", "На устройстве не осталось места",
        "设备上没有空间", "デバイスに空き領域がありません",
    )),
    ("Connection refused", (
        "Verbindungsaufbau abgelehnt", "Connexion refusée", "Conexión rehusada", "Connessione rifiutata",
        "Conexão recusada", "В соединении отказано", "拒绝连接", "接続を拒否されました",
    )),
    ("CONFLICT (content): Merge conflict in ", (
        "KONFLIKT (Inhalt): Merge-Konflikt in ", "CONFLIT (contenu) : Conflit de fusion dans ",
        "CONFLICTO (contenido): Conflicto de fusión en ", "CONFLITTO (contenuto): conflitto di merge in ",
    )),
    (": error: ", (": Fehler: ", ": erreur: ", ": erreur : ")),
    ("\nerror: ", ("\nFehler: ", "\nerreur: ", "\nerreur : ")),
    ("\nfatal: ", ("\nSchwerwiegend: ", "\nschwerwiegend: ", "\nfatal : ")),
    ("not a git repository", ("Kein Git-Repository", "kein Git-Repository", "no es un repositorio git")),
)  # fmt: skip
_ASCII_WORDS = tuple((english, tuple(filter(str.isascii, others))) for english, others in _WORDS)
_PATHSPEC = re.compile(r"Pfadspezifikation '([^'\n]+)' stimmt mit keinen")


def in_english(text: str) -> str:
    """The text with the sentences that name a cause in English; a text without any is returned as it is."""
    for english, others in _ASCII_WORDS if text.isascii() else _WORDS:
        for words in others:
            if words in text:
                # French sets a space before a colon.
                text = text.replace(f" : {words}", f": {english}").replace(words, english)
    if "Pfadspezifikation" in text:
        text = _PATHSPEC.sub(r"pathspec '\1' did not match any file", text)
    return text
