"""The sentences of a constat: method, rule, limits; to be reviewed together with docs/constat.md."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from guichets.constat.attempts import Attempt, DeskFacts, Standing
from guichets.constat.criterion import Judgement, Verdict
from guichets.french import DAYS, PARIS, day_in_words

QUESTION = (
    "Une personne qui ouvre cette page publique et suit le parcours proposé jusqu'au calendrier, sans rien "
    "réserver, s'y voit-elle offrir une date de rendez-vous ?"
)
METHOD = (
    "Un robot visite ce guichet à des instants tirés au hasard : un dans chaque heure de 7 h à 22 h, un "
    "dans chaque tranche de trois heures la nuit, et parfois davantage quand une ouverture est attendue. "
    "Il suit le parcours public, étape par étape, jusqu'à la réponse sur les dates, et jamais plus loin : "
    "il ne réserve rien, n'envoie aucune donnée personnelle, ne résout aucun captcha, dit qui il est et "
    "respecte les consignes du site.",
    "Le résultat de chaque visite est lu sur la page elle-même, par des repères écrits d'avance : la "
    "phrase, le titre ou la donnée par lesquels la plateforme dit qu'il y a des dates, qu'il n'y en a "
    "pas, ou que le guichet est fermé. Une panne n'est jamais comptée comme « rien de libre », une page "
    "inconnue jamais comme une offre ; un captcha, un refus de notre visite et une page non reconnue ne "
    "disent rien des dates et sont comptés à part.",
    "Chaque réponse du site est archivée telle que reçue au moment de la visite, avec une note de ce qui "
    "en a été lu. Chaque jour (de minuit à minuit, temps universel), tout ce qui fut archivé est résumé "
    "en une seule empreinte, chaînée à celle de la veille ; le jour est alors « scellé » : changer, ôter "
    "ou ajouter ensuite un seul enregistrement se voit. Le sceau peut être daté par un tiers (RFC 3161).",
    "« Phrase montrée par le site » : le texte de la page sans lequel le robot aurait lu autre chose ; à "
    "défaut le titre de la page, précédé de « [titre] » ; rien quand la page n'en porte pas ou que le "
    "site n'a pas répondu. Les heures sont celles de Paris ; une semaine va du lundi au dimanche (norme "
    "ISO 8601).",
)
RULE = (
    "Tentative sans date : le site lui-même a dit que rien n'est libre (« aucun ») ou que l'administration a "
    "fermé le guichet (« fermé »), et l'archive le montre. Une panne, un captcha, un refus, une page non "
    "reconnue ou une défaillance de notre côté n'en sont jamais ; une page donnée par une personne non plus.",
    "Semaine sans date : une semaine civile (du lundi au dimanche, heure de Paris) qui compte au moins une "
    "tentative sans date, et où aucune tentative, d'où qu'elle vienne, n'a vu de date. Une seule offre vue "
    "dans la semaine suffit à l'écarter, même un jour où la période n'avait pas commencé ou était finie.",
    "Le critère est rempli quand il y a au moins deux semaines sans date, et que sept jours au moins "
    "séparent la première et la dernière tentative sans date de ces semaines : quatre captures prises du "
    "jeudi au lundi touchent deux semaines civiles, et n'ont pas suffi.",
    "« Rempli pour certaines semaines seulement » : il l'est, mais des dates ont été vues d'autres semaines "
    "de la période ; elles sont nommées.",
    "Ce test compte ce que l'archive montre du guichet. Il ne remplace ni l'appréciation du juge, ni les "
    "tentatives de la personne concernée.",
)
LIMITS = (
    "Il ne prouve pas les tentatives de la personne concernée : ce sont celles d'un robot, sur la même page "
    "publique. Qui saisit le juge joint les siennes.",
    "Il ne dit pas si un rendez-vous vu aurait pu être confirmé : le robot s'arrête au calendrier.",
    "Il ne dit rien des autres moyens de demander un rendez-vous (téléphone, courrier, accueil).",
    "Entre deux visites, et pendant les interruptions montrées plus haut, une date a pu paraître et "
    "disparaître sans être vue.",
    "Derrière un captcha, un refus ou une panne, il ne sait pas ce qui était proposé.",
    "Le guichet a pu répondre autrement à une autre personne, d'un autre endroit ou à un autre instant.",
    "Ce document décrit des faits observés ; il n'est pas un conseil juridique.",
)
MARKS = {
    Standing.SEALED: "",
    Standing.UNSEALED: " · jour non scellé",
    Standing.PRUNED: " · preuve retirée après sa durée de garde",
    Standing.BROKEN: " · preuve rompue",
    Standing.ELSEWHERE: " · archivé sur une autre machine",
    Standing.UNARCHIVED: " · jamais archivé",
}
_GLYPHS = frozenset("–—‘’‚“”„†•…‰‹›€→−≤≥≠œŒ\u202f\u00a0«»")
_LAST_LATIN = 0x17F


def printable(text: str) -> str:
    """A text as the document's fonts can show it: others' letters become squares; the CSV keeps them."""
    return "".join(
        one
        if (one.isprintable() and ord(one) <= _LAST_LATIN) or one in _GLYPHS
        else " "
        if one.isspace()
        else "□"
        for one in text
    )


def desk_name(desk: DeskFacts) -> str:
    """The desk's id; where a counter alone is told of, that counter beside it."""
    if desk.counter_key is None:
        return desk.id
    return f"{desk.id}, sous-choix {desk.counter_label or 'sans nom'} ({desk.counter_key})"


def when(instant: datetime) -> str:
    """« lundi 3 mars 2025 à 07:31:12 »; in the hour that comes twice, with its offset."""
    local = instant.astimezone(PARIS)
    twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    offset = f" (UTC+{2 - local.fold})" if twice else ""
    return f"{day_in_words(local.date())} à {local:%H:%M:%S}{offset}"


def day_short(day: date) -> str:
    return f"{DAYS[day.weekday()][:3]}. {day:%d/%m/%Y}"


def week_in_words(monday: date) -> str:
    year, number, _ = monday.isocalendar()
    return f"semaine {number} de {year} (du {monday:%d/%m/%Y})"


def lasting(length: timedelta) -> str:
    """« 12 j 4 h », « 3 h 20 min »."""
    minutes = round(length.total_seconds() / 60)
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    if days:
        return f"{days} j {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def verdict_title(judgement: Judgement) -> str:
    return {
        Verdict.MET: "Critère rempli.",
        Verdict.MET_IN_SOME_WEEKS: "Critère rempli pour certaines semaines seulement.",
        Verdict.NOT_MET: "Critère non rempli.",
    }[judgement.verdict]


def verdict_sentence(judgement: Judgement) -> str:
    """What the result rests on, in one or two sentences."""
    without, offering = judgement.weeks_without, judgement.weeks_with_offer
    if not without:
        seen = f" Des dates ont été vues au cours de {_weeks(len(offering))}." if offering else ""
        return f"Aucune semaine de la période n'est sans date au sens de la règle.{seen}"
    apart = judgement.apart
    told = (
        f"{_weeks(len(without))} sans date, {judgement.attempts} tentatives sans date, "
        f"{lasting(apart) if apart else '0 min'} entre la première et la dernière."
    )
    if judgement.verdict is Verdict.NOT_MET:
        told += " Il faut au moins deux semaines, et sept jours entre la première et la dernière tentative."
    if offering:
        return f"{told} Des dates ont été vues au cours de {_weeks(len(offering))}."
    return f"{told} Aucune date n'a été vue de toute la période."


def mark_of(attempt: Attempt) -> str:
    """What stands behind the outcome of an attempt whose proof is not whole, or that is not the robot's."""
    given = " · page donnée par une personne" if attempt.is_contributed else ""
    corrected = " · relu, voir Corrections" if attempt.corrects else ""
    return f"{MARKS[attempt.standing]}{given}{corrected}"


def _weeks(count: int) -> str:
    return "1 semaine" if count == 1 else f"{count} semaines"
