"""`ex.ablate()`: heads to switch off, live. The widget shows; the Session answers.

The page sends requests with a growing number; one thread works on the newest and drops the rest.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from recinterp.errors import RecinterpError
from recinterp.view.diagram.graph import habits, rule_text
from recinterp.view.notebook.session import KINDS, Answer, HeadIntervention, Session
from recinterp.view.notebook.standalone import StandAlone, document, in_script

if TYPE_CHECKING:
    from recinterp.explanation import Explanation
    from recinterp.machine import Machine, MachineState

HERE = Path(__file__).parent
SCRIPT, STYLE = HERE / "notebook.js", HERE / "notebook.css"
POINTERS = 12  # landmarks offered for a redirect
PRECOMPUTED = 1_200  # answers in a static page
Request = Mapping[str, Any]


class Stale(Exception):
    """A newer request came in."""


class Newest:
    """A thread that works on the newest request only. work(request, stale) asks stale() now and
    then and stops once it is true.
    """

    def __init__(self, work: Callable[[Request, Callable[[], bool]], None]) -> None:
        self._work, self._count = work, 0
        self._waiting: Request | None = None
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None

    def ask(self, request: Request) -> None:
        """Put a request in place of whatever is waiting or under way."""
        with self._ready:
            self._waiting, self._count = request, self._count + 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, daemon=True)
                self._thread.start()
            self._ready.notify()

    def _loop(self) -> None:
        while True:
            with self._ready:
                while self._waiting is None:
                    self._ready.wait()
                request, mine, self._waiting = self._waiting, self._count, None
            self._work(request, lambda mine=mine: self._count != mine)  # type: ignore[misc]


class AblationWidget(anywidget.AnyWidget):
    """Grid of heads, input, outputs, machine, accuracy, attention; `.static()` for no kernel."""

    _esm = SCRIPT
    _css = STYLE
    view = traitlets.Unicode("ablate").tag(sync=True)
    setup = traitlets.Dict().tag(sync=True)

    def __init__(self, session: Session) -> None:
        self.session = session
        self.rederived: Explanation | None = None
        self._clicks, self._derivations = Newest(self._click), Newest(self._derive)
        super().__init__(setup=setup(session))
        self.on_msg(self._asked)

    def _asked(self, _: object, request: Request, buffers: object = None) -> None:
        (self._derivations if request.get("what") == "derive" else self._clicks).ask(request)

    def _click(self, request: Request, stale: Callable[[], bool]) -> None:
        try:
            for reply in replies(self.session, request, stale):
                if stale():
                    return
                self.send({"n": request["n"], **reply})
        except RecinterpError as e:
            self.send({"n": request["n"], "what": "error", "text": str(e)})
        except Exception as e:  # a thread of its own: nobody else would hear of it
            self.send({"n": request["n"], "what": "error", "text": f"{type(e).__name__}: {e}"})

    def _derive(self, request: Request, stale: Callable[[], bool]) -> None:
        def told(stage: str) -> None:
            if stale():
                raise Stale
            self.send({"what": "deriving", "text": stage})

        try:
            self.rederived = self.session.rederive(cut_of(request), told)
            self.send({"what": "derived", **derived(self.rederived)})
        except Stale:
            return
        except Exception as e:  # as above
            self.send({"what": "derived", "error": f"{type(e).__name__}: {e}"})

    def static(self, path: str | Path | None = None) -> StandAlone:
        """The same as one page without a kernel: single heads and pairs, on the inputs offered."""
        page = static_page(self.session)
        if path is not None:
            page.save(path)
        return page


def ablation(ex: Explanation, *, warm: bool = True) -> AblationWidget:
    """The widget of an explanation. Errors: ModelNotLoadedError."""
    session = Session(ex)
    if warm:
        session.warm()
    return AblationWidget(session)


def setup(session: Session) -> dict[str, Any]:
    """What the page needs to draw itself before anything was asked."""
    ex = session.ex
    known = {(h.layer, h.head): h for h in ex.heads}
    return {
        "title": f"{ex.model_name} on {ex.task.name} ({ex.task.order} order)",
        "layers": session.adapter.n_layers,
        "heads": [
            {
                "layer": layer, "head": h, "name": session.name((layer, h)),
                "role": known[layer, h].role if (layer, h) in known else "",
                "note": known[layer, h].note if (layer, h) in known else "",
                "recursion": (layer, h) in known and known[layer, h].recursion,
            }
            for layer, h in session.heads
        ],
        "kinds": list(KINDS),
        "pointers": list(session.pointers)[:POINTERS],
        "offered": [{"why": why, "tokens": list(x)} for why, x in session.offered],
        "vocab": list(ex.task.constructors),
        "live": True,
    }  # fmt: skip


def cut_of(request: Request) -> HeadIntervention:
    """The cut a page asks about."""
    heads = tuple(sorted((int(layer), int(h)) for layer, h in request.get("heads", ())))
    return HeadIntervention(heads, request.get("kind", "zero"), request.get("to") or "t")


def replies(
    session: Session, request: Request, stale: Callable[[], bool]
) -> Iterator[dict[str, Any]]:
    """What a click is answered: the input's answer at once, then the accuracies one by one."""
    began, cut = time.perf_counter(), cut_of(request)
    found = answered(session, session.answer(request["tokens"], cut))
    yield {"what": "answer", **found, "ms": 1000 * (time.perf_counter() - began)}
    for s in session.accuracy(cut, stale):
        yield {"what": "stratum", "name": s.name, "total": s.total, "clean": s.clean, "cut": s.cut}
    yield {"what": "done"}


def answered(session: Session, a: Answer) -> dict[str, Any]:
    """An answer as plain data."""
    return {
        "input": list(a.input), "truth": list(a.truth), "clean": list(a.clean),
        "output": list(a.output), "claimed": list(a.claimed), "changed": list(a.changed),
        "parts": a.parts, "step": a.step,
        "run": machine_run(session.ex.machine, a.run),
        "shape": list(a.attention.shape), "row": list(a.tokens), "query": a.first_query,
        "attention": base64.b64encode(a.attention.contiguous().numpy().tobytes()).decode(),
    }  # fmt: skip


def machine_run(machine: Machine, run: Sequence[MachineState]) -> list[dict[str, Any]]:
    """A machine's run, one entry a step: where it stands, what fires, what it has written."""
    usual = habits(machine)
    return [
        {
            "mode": s.mode,
            "registers": [f"{name} = {value}" for name, value in s.registers.items()],
            "stack": [f"{frame}({at})" for frame, at in s.stack],
            "rule": s.rule.name if s.rule else "",
            "text": rule_text(s.rule, usual) if s.rule else "no rule: the machine abstains",
            "out": len(s.out),
            "at": _pointer(s),
        }
        for s in run
    ]


def _pointer(state: MachineState) -> int | None:
    """The register that points into the input, where there is exactly one."""
    values = list(state.registers.values())
    return values[0] if len(values) == 1 else None


def derived(ex: Explanation) -> dict[str, Any]:
    """A derivation under a cut, for the page: verdict, what it says, the machine's rules."""
    from recinterp.view.diagram.formats import table
    from recinterp.view.diagram.graph import extract
    from recinterp.view.report.sentences.summary import domain_text

    case = ex.diff.counterexample
    return {
        "verdict": ex.diff.verdict, "headline": ex.diff.headline,
        "domain": domain_text(ex.domain), "table": table(extract(ex.machine)),
        "match": str(ex.fidelity.overall.match),
        "case": None if case is None else {
            "input": list(case.input),
            "truth": list(case.expected),
            "output": list(case.model_output),
        },
    }  # fmt: skip


def static_page(session: Session) -> StandAlone:
    """The widget with every answer it can give already in it."""
    heads = session.heads
    sets = [(), *((h,) for h in heads), *combinations(heads, 2)]
    kinds = [k for k in KINDS if k != "redirect"]
    inputs = [x for _, x in session.offered]
    inputs = inputs[: max(1, PRECOMPUTED // (len(sets) * len(kinds)))]
    answers, runs, strata = {}, {}, {}
    for kind in kinds:
        for chosen in sets:
            cut = HeadIntervention(tuple(sorted(chosen)), kind)
            key = _key(cut)
            strata[key] = [[s.name, s.total, s.clean, s.cut] for s in session.accuracy(cut)]
            for i, x in enumerate(inputs):
                found = answered(session, session.answer(x, cut))
                runs[str(i)] = found.pop("run")
                answers[f"{i}|{key}"] = found
    given = setup(session) | {"kinds": kinds, "pointers": [], "live": False}
    given["offered"] = given["offered"][: len(inputs)]
    known = {"answers": answers, "runs": runs, "strata": strata}
    title = f"heads of {given['title']}, to switch off"
    return page_of("ablate", {"setup": given, "known": known}, title, "95vh")


def _key(cut: HeadIntervention) -> str:
    return cut.kind + "|" + " ".join(f"{layer}.{h}" for layer, h in cut.heads)


def page_of(view: str, data: Mapping[str, Any], title: str, height: str) -> StandAlone:
    """A page that runs the widgets' own module on data that is already there."""
    module = SCRIPT.read_text(encoding="utf-8").replace("export default", "const recinterp =")
    given = in_script({"view": view, **data})
    script = f"{module}\nrecinterp.alone(document.getElementById('here'),{given});"
    page = document(title, "<div id=here></div>", STYLE.read_text(encoding="utf-8"), script)
    return StandAlone.make(page, title, height)
