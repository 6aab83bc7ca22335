"""Words that are written with a full stop, in the languages that do so.

A full stop is read without knowing the language, so what is a word in another one is left out (French `est.`) or
counts with a capital only (Turkish `sen`).
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


INSIDE = _words(
    "dr drs mr mrs ms mme mmes mlle prof vs cf ca bzw vgl evtl ggf inkl exkl sog resp approx dept al viz incl excl "
    "esp messrs sra sras srta srtas srs dott avv mons hrn geb mrd tsd bijv dvs jf esim ns např tzv tzn tzw np ul św "
    "mgr inż kb pl ún dott.ssa sig.ra sig.na exmo exma bpk sdr jl yth тыс проф акад вул ул e.g i.e z.b d.h u.a p.ex "
    "par.ex p.ej t.ex bl.a f.eks m.m o.a m.b.t t.j s.k np.t v.chr n.chr т.е т.к κ.κ π.χ δηλ डॉ डा ডা ড ডঃ av dhr mevr "
    "tys doç yrd dl dna dña excmo excma प्रो মো திரு ડૉ ਡਾ డా ಡಾ ഡോ"
)
"""What they shorten always goes on behind them."""

INSIDE_WITH_CAPITAL = _words(
    "Sen Rep Gen Col Hon Rev Gov Lt Sgt Capt Maj Cmdr Cpl Pvt Adm Pres Msgr Insp Supt Sig Fr Frl Hr Ud Uds Vd Dra Mt "
    "Ft Sn Sta Sto Av Gral Lic Ing Arq Dipl Mio Min Std Sek Jh Jhd Hrsg TP ThS TS GS"
)
"""The same, of which those without a capital are words."""

USUALLY_INSIDE = _words("st ste sr jr inc ltd co corp bros ave blvd rd univ esq ltda")
"""Before a name or behind one. The next word tells whether a sentence ends; so with what has several stops: `U.S.`"""

BEFORE_NUMBERS = _words(
    "no nos nr nrs nro num núm fig figs vol vols art arts pp pg sec sect ch chap cap kap abs ziff bd abb tab eq ext "
    "tel kl blz pag pág čl str tlf jan feb mar mär apr jun jul aug sep sept oct okt nov dec dez стр рис гл ст см godz "
    "apt bldg op"
)
"""Abbreviations before a number or an initial (`apr. J.-C.`), and words before anything else: `No. 5`, and `No.`"""

FIRST_WORDS = _words(
    "the a an i he she it we they you this that these those there then so and but or if when what who where why how "
    "yes no well now my his her our your their in on at for as after before because is are was were do did can not "
    "also it's that's i'm we're they're he's she's there's don't let's der die das ein eine ich du er sie es wir ihr "
    "und aber oder dann da also ja nein wenn was wer wie wo warum nun jetzt heute im am an auf mit nach bei für von "
    "zu doch denn dies diese dieser dieses mein meine sein seine man auch nur le la les un une il elle on nous vous "
    "ils elles je tu ce et mais donc alors si quand c'est el los las él ella yo nosotros ellos y pero entonces cuando "
    "es lo gli io lui lei noi e ma allora se quando non o os as um uma ele ela eu nós mas então não de het een ik hij "
    "zij maar dan wij он она оно они я мы вы и но а это в на что как если когда то не у с к"
)
"""Words that begin sentences and follow neither a title nor a number, in the languages with most abbreviations."""
