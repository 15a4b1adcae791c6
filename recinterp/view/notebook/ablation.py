"""`ex.ablate()`: heads to switch off, live. The widget shows; the Session answers.

The page sends requests with a growing number `n`; one thread works on the newest request and drops
the others.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from recinterp.errors import RecinterpError
from recinterp.view.diagram.formats import render_table
from recinterp.view.diagram.graph import extract_graph, find_defaults, rule_text
from recinterp.view.notebook.session import KINDS, Answer, HeadIntervention, Session
from recinterp.view.notebook.standalone import (
    SCRIPT_FILE,
    STYLE_FILE,
    StandalonePage,
    build_widget_page,
)
from recinterp.view.report.sentences.heads import head_note
from recinterp.view.report.sentences.summary import domain_text

if TYPE_CHECKING:
    from torch import Tensor

    from recinterp.explanation import Explanation
    from recinterp.machine import Machine, MachineState

Request = Mapping[str, Any]


class LatestRequestWorker:
    """A thread that works on the newest request only.

    Args:
        work: called as work(request, is_stale); it calls is_stale() now and then, and returns once
            that is true.
    """

    def __init__(self, work: Callable[[Request, Callable[[], bool]], None]) -> None:
        self._work, self._count = work, 0
        self._waiting: Request | None = None
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, request: Request) -> None:
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
    """Grid of heads, input, outputs, machine, accuracy, attention; `.static()` for no kernel.

    Attributes:
        session: answers the page's requests.
        rederived: the explanation of the last "derive machine and diff again"; None before.
    """

    _esm = SCRIPT_FILE
    _css = STYLE_FILE
    view = traitlets.Unicode("ablate").tag(sync=True)
    setup = traitlets.Dict().tag(sync=True)

    def __init__(self, session: Session) -> None:
        self.session = session
        self.rederived: Explanation | None = None
        self._clicks = LatestRequestWorker(self._answer_click)
        self._derivations = LatestRequestWorker(self._derive)
        super().__init__(setup=build_setup(session))
        self.on_msg(self._on_request)

    def _on_request(self, _: object, request: Request, buffers: object = None) -> None:
        worker = self._derivations if request.get("what") == "derive" else self._clicks
        worker.submit(request)

    def _answer_click(self, request: Request, is_stale: Callable[[], bool]) -> None:
        try:
            for reply in reply_to_click(self.session, request, is_stale):
                if is_stale():
                    return
                self.send({"n": request["n"], **reply})
        except RecinterpError as e:
            self.send({"n": request["n"], "what": "error", "text": str(e)})
        except Exception as e:  # in a thread of its own: nobody else would hear of it
            self.send({"n": request["n"], "what": "error", "text": f"{type(e).__name__}: {e}"})

    def _derive(self, request: Request, is_stale: Callable[[], bool]) -> None:
        def on_stage(stage: str) -> None:
            if is_stale():
                raise CancelledError
            self.send({"what": "deriving", "text": stage})

        try:
            self.rederived = self.session.rederive(parse_intervention(request), on_stage)
            self.send({"what": "derived", **plain_derivation(self.rederived)})
        except CancelledError:
            return
        except Exception as e:  # as above
            self.send({"what": "derived", "error": f"{type(e).__name__}: {e}"})

    def static(self, path: str | Path | None = None, *, max_answers: int = 1_200) -> StandalonePage:
        """The widget as one page without a kernel: single heads and pairs, on suggested inputs.

        Args:
            path: a file that the page is also written to.
            max_answers: answers stored in the page, at most; 1,200 make a page below 1 MB.

        Returns:
            The page.

        Raises:
            UnwritableFileError: where the file cannot be written.
        """
        page = build_static_page(self.session, max_answers)
        if path is not None:
            page.save(path)
        return page


def ablation_widget(ex: Explanation, *, warm_up: bool = True) -> AblationWidget:
    """The widget of an explanation; `Explanation.ablate` documents it."""
    session = Session(ex)
    if warm_up:
        session.warm_up()
    return AblationWidget(session)


def build_setup(session: Session, *, max_pointers: int = 12) -> dict[str, Any]:
    """What the page needs to draw itself before its first request.

    Args:
        session: the session that will answer the page.
        max_pointers: landmarks offered as the target of a redirect, at most.
    """
    ex = session.ex
    measured = {(h.layer, h.head): h for h in ex.heads}
    heads = []
    for which in session.heads:
        head = measured.get(which)
        heads.append(
            {
                "layer": which[0],
                "head": which[1],
                "name": session.name(which),
                "role": head.role.value if head else "",
                "note": head_note(head) if head else "",
                "recursion": head is not None and head.recursion,
            }
        )
    return {
        "title": f"{ex.model_name} on {ex.task.name} ({ex.task.order} order)",
        "layers": session.adapter.n_layers,
        "heads": heads,
        "kinds": list(KINDS),
        "pointers": list(session.pointers)[:max_pointers],
        "suggested_inputs": [
            {"reason": reason, "tokens": list(x)} for reason, x in session.suggested_inputs
        ],
        "vocab": list(ex.task.constructors),
        "live": True,
    }


def parse_intervention(request: Request) -> HeadIntervention:
    """The intervention that a page's request asks for."""
    heads = tuple(sorted((int(layer), int(h)) for layer, h in request.get("heads", ())))
    return HeadIntervention(heads, request.get("kind", "zero"), request.get("to") or "t")


def reply_to_click(
    session: Session, request: Request, is_stale: Callable[[], bool]
) -> Iterator[dict[str, Any]]:
    """The replies to a click: the input's answer at once, then the accuracies one by one."""
    began, intervention = time.perf_counter(), parse_intervention(request)
    answer = plain_answer(session, session.answer(request["tokens"], intervention))
    yield {"what": "answer", **answer, "ms": 1000 * (time.perf_counter() - began)}
    for stratum in session.accuracy(intervention, is_stale):
        yield {
            "what": "stratum",
            "name": stratum.name,
            "total": stratum.clean.total,
            "clean": stratum.clean.hits,
            "edited": stratum.edited.hits,
        }
    yield {"what": "done"}


def plain_answer(session: Session, answer: Answer) -> dict[str, Any]:
    """An answer as plain data."""
    return {
        "input": list(answer.input),
        "truth": list(answer.truth),
        "clean": list(answer.clean),
        "output": list(answer.output),
        "machine_output": list(answer.machine_output),
        "changed": list(answer.changed),
        "first_difference": answer.first_difference,
        "step": answer.step,
        "run": plain_run(session.ex.machine, answer.run),
        **plain_attention(answer),
    }


def plain_attention(answer: Answer) -> dict[str, Any]:
    """An answer's attention as plain data: its bytes in base64, its shape, its row."""
    return {
        "shape": list(answer.attention.shape),
        "row": list(answer.tokens),
        "query": answer.first_query,
        "attention": _encode_base64(answer.attention),
    }


def _encode_base64(values: Tensor) -> str:
    return base64.b64encode(values.contiguous().numpy().tobytes()).decode()


def plain_run(machine: Machine, run: Sequence[MachineState]) -> list[dict[str, Any]]:
    """A machine's run, one entry a step: where it stands, what fires, what it has written."""
    defaults = find_defaults(machine)
    return [
        {
            "mode": s.mode,
            "registers": [f"{name} = {value}" for name, value in s.registers.items()],
            "stack": [f"{frame}({at})" for frame, at in s.stack],
            "rule": s.rule.name if s.rule else "",
            "text": rule_text(s.rule, defaults) if s.rule else "no rule: the machine abstains",
            "out": len(s.out),
            "at": _input_pointer(s),
        }
        for s in run
    ]


def _input_pointer(state: MachineState) -> int | None:
    """The register that points into the input, where there is exactly one."""
    values = list(state.registers.values())
    return values[0] if len(values) == 1 else None


def plain_derivation(ex: Explanation) -> dict[str, Any]:
    """An explanation under an intervention, for the page: verdict, headline, the rules."""
    example = ex.diff.counterexample
    return {
        "verdict": ex.diff.verdict,
        "headline": ex.diff.headline,
        "domain": domain_text(ex.domain),
        "table": render_table(extract_graph(ex.machine)),
        "match": str(ex.fidelity.overall.match),
        "counterexample": None
        if example is None
        else {
            "input": list(example.input),
            "truth": list(example.expected),
            "output": list(example.model_output),
        },
    }


def build_static_page(session: Session, max_answers: int) -> StandalonePage:
    """The widget with every answer it can give already in it."""
    heads = session.heads
    head_sets = [(), *((h,) for h in heads), *combinations(heads, 2)]
    kinds = [kind for kind in KINDS if kind != "redirect"]
    inputs = [x for _, x in session.suggested_inputs]
    inputs = inputs[: max(1, max_answers // (len(head_sets) * len(kinds)))]
    answers, runs, strata = {}, {}, {}
    for kind in kinds:
        for chosen in head_sets:
            intervention = HeadIntervention(tuple(sorted(chosen)), kind)
            key = _answer_key(intervention)
            strata[key] = [
                [s.name, s.clean.total, s.clean.hits, s.edited.hits]
                for s in session.accuracy(intervention)
            ]
            for i, x in enumerate(inputs):
                answer = plain_answer(session, session.answer(x, intervention))
                runs[str(i)] = answer.pop("run")
                answers[f"{i}|{key}"] = answer
    setup = build_setup(session) | {"kinds": kinds, "pointers": [], "live": False}
    setup["suggested_inputs"] = setup["suggested_inputs"][: len(inputs)]
    stored = {"answers": answers, "runs": runs, "strata": strata}
    title = f"heads of {setup['title']}, to switch off"
    return build_widget_page("ablate", {"setup": setup, "stored": stored}, title, "95vh")


def _answer_key(intervention: HeadIntervention) -> str:
    heads = " ".join(f"{layer}.{h}" for layer, h in intervention.heads)
    return f"{intervention.kind}|{heads}"
