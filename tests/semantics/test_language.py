# ruff: noqa: E501 (tables and templates of programs)
"""What is read, and what is refused: by which error, at which place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recinterp.errors import (
    GallinaSyntaxError,
    GallinaTypeError,
    NotStructuralError,
    OutsideSubsetError,
    SourceError,
)
from recinterp.semantics.ast import Arm, Call, Construct, Let, Match, Program, Var
from recinterp.semantics.elaborate import elaborate_program
from tests.semantics import coqc

TYPES = "Inductive b := T | F.\nInductive tree := L | N (l r : tree).\n"


def last(text: str) -> str:
    """The last function of TYPES + text, as one line of Gallina."""
    program = elaborate_program(TYPES + text)
    return coqc.function_text(program.functions[-1], program)


def test_successor_elaborates_to_core_expressions() -> None:
    program: Program = elaborate_program(
        "Inductive bin := One | X0 (n : bin) | X1 (n : bin).\n"
        "Fixpoint succ (n : bin) : bin :=\n"
        "  match n with One => X0 One | X0 m => X1 m | X1 m => X0 (succ m) end."
    )
    one = Construct("One", "bin")
    assert program.function("succ").struct == 0
    assert program.function("succ").body == Match(
        Var("n"),
        "bin",
        (
            Arm("One", (), Construct("X0", "bin", (one,))),
            Arm("X0", ("m",), Construct("X1", "bin", (Var("m"),))),
            Arm("X1", ("m0",), Construct("X0", "bin", (Call("succ", (Var("m0"),)),))),
        ),
        "bin",
    )


# Each expected text is the body that coqc 8.16 prints (Set Printing All), but for names.
NORMALISED = {
    "if": (
        "Definition f (x y : b) : b := if x then y else T.",
        "match x with | T => y | F => T end",
    ),
    "or-pattern": (
        "Definition f (x : b) : b := match x with T | F => x end.",
        "match x with | T => x | F => x end",
    ),
    "alias of a variable": (
        "Definition f (x : tree) : tree := match x with N _ _ as k => k | L => L end.",
        "match x with | L => L | N x0 x1 => x end",
    ),
    "alias of a computed term, used twice": (
        "Definition f (x : tree) : tree := match N x x with N _ _ as k => N k k | L => L end.",
        "match N x x with | L => L | N x1 x2 => let k := N x1 x2 in N k k end",
    ),
    "the first row takes all": (
        "Definition f (x y : b) : b := match x, y with T, _ => y | _, T => x | F, F => T end.",
        "match x with | T => y | F => match y with | T => x | F => T end end",
    ),
    "a variable for a computed term": (
        "Definition f (x : tree) : tree := match N x x with k => N k k end.",
        "N (N x x) (N x x)",
    ),
    "notations for lists": (
        "Require Import List. Import ListNotations.\n"
        "Definition f (x : list b) : list b := match x with [] => [T; F] | y :: t => y :: t end.",
        "match x with | @nil _ => @cons b T (@cons b F (@nil b)) | @cons _ y t => @cons b y t end",
    ),
    "a result type left out": ("Definition f (x : tree) := N x L.", "N x L"),
}


@pytest.mark.parametrize(("text", "body"), NORMALISED.values(), ids=NORMALISED.keys())
def test_nested_matches_become_one_level_deep(text: str, body: str) -> None:
    assert last(text).endswith(f"=> {body})")


def test_lets_are_preserved() -> None:
    program = elaborate_program(TYPES + "Definition f (x : b) : b := let y := x in y.")
    assert program.function("f").body == Let("y", "b", Var("x"), Var("y"))


def test_type_parameters_are_instantiated() -> None:
    program = elaborate_program(
        TYPES + "Inductive seq (A : Type) := nil | cons (x : A) (s : seq A).\n"
        "Definition f (s : seq b) : seq b := match s with nil _ => nil b | cons _ x t => cons b x t end."
    )
    assert [c.args for c in program.type("seq b").constructors] == [(), ("b", "seq b")]


REFUSED: dict[str, tuple[str, type[SourceError], int, int]] = {
    "unclosed match": ("Definition f (x : b) : b := match x with T => F", GallinaSyntaxError, 3, 48),
    "unclosed comment": ("\n  (* (* *) ", GallinaSyntaxError, 4, 3),
    "half an if": ("Definition f (x : b) : b := if x then T.", GallinaSyntaxError, 3, 40),
    "unknown name": ("Definition f (x : b) : b :=\n  y.", GallinaTypeError, 4, 3),
    "itself in a Definition": ("Definition f (x : b) : b := f x.", GallinaTypeError, 3, 29),
    "unknown type": ("Definition f (x : c) : b := T.", GallinaTypeError, 3, 19),
    "wrong type": ("Definition f (x : b) : tree := N x L.", GallinaTypeError, 3, 34),
    "too many arguments": ("Definition f (x : b) : b := T x.", GallinaTypeError, 3, 29),
    "a variable applied": ("Definition f (x : b) : b := x T.", GallinaTypeError, 3, 29),
    "missing case": ("Definition f (x : b) : b := match x with T => F end.", GallinaTypeError, 3, 29),
    "dead clause": ("Definition f (x : b) : b := match x with y => y | T => T end.", GallinaTypeError, 3, 51),
    "dead choice": ("Definition f (x : b) : b := match x with T => T | T | F => T end.", GallinaTypeError, 3, 51),
    "foreign constructor": ("Definition f (x : b) : b := match x with L => T | _ => F end.", GallinaTypeError, 3, 42),
    "bound twice": ("Definition f (x : tree) : b := match x with N y y => T | _ => F end.", GallinaTypeError, 3, 45),
    "different names": ("Definition f (x : tree) : b := match x with N y _ | L => T end.", GallinaTypeError, 3, 45),
    "declared twice": ("Definition T (x : b) : b := x.", GallinaTypeError, 3, 12),
    "if on three": ("Definition f (x : comparison) : b := if x then T else F.", GallinaTypeError, 3, 38),
    "no such struct": ("Fixpoint f (x : tree) {struct y} : b := T.", GallinaTypeError, 3, 10),
    "the argument itself": ("Fixpoint f (x : tree) : b := match x with L => T | N l _ => f x end.", NotStructuralError, 3, 61),
    "a larger term": ("Fixpoint f (x : tree) : b := match x with L => T | N l _ => f (N l l) end.", NotStructuralError, 3, 61),
    "no match at all": ("Fixpoint f (x : tree) : b := f x.", NotStructuralError, 3, 30),
    "another argument": ("Fixpoint f (x y : tree) {struct x} : b := match y with L => T | N l _ => f l y end.", NotStructuralError, 3, 74),
    "a computed argument": ("Fixpoint f (x : tree) : b := match x with L => T | N l _ => f (match l with L => l | N m _ => m end) end.", OutsideSubsetError, 3, 61),
    "fun": ("Definition f (x : b) : b := (fun y => y) x.", OutsideSubsetError, 3, 30),
    "nested fix": ("Definition f (x : b) : b := (fix g (y : b) : b := y) x.", OutsideSubsetError, 3, 30),
    "a function as result": ("Definition f (x : b) : b -> b := T.", OutsideSubsetError, 3, 26),
    "half a call": ("Definition f (x : b) : b := N L.", OutsideSubsetError, 3, 29),
    "polymorphic": ("Definition f (A : Type) (x : A) : A := x.", OutsideSubsetError, 3, 15),
    "untyped parameter": ("Definition f x : b := T.", OutsideSubsetError, 3, 14),
    "large number": ("Definition f (x : b) : nat := 2000.", OutsideSubsetError, 3, 31),
    "number beside own numbers": ("Inductive nat := O | S (n : nat). Definition f (x : b) : nat := 2.", OutsideSubsetError, 3, 65),
    "number of another type": ("Definition f (x : b) : b := match x with 0 => T | _ => F end.", GallinaTypeError, 3, 42),
    "trailing square brackets": ("Inductive seq (A : Type) := Nil | Cons (x : A). Arguments Nil [A].", GallinaTypeError, 3, 49),
    "implicit parameter of a type": ("Inductive seq {A : Type} := Nil | Cons (x : A).", OutsideSubsetError, 3, 16),
    "implicit type parameter": ("Fixpoint f {A : Type} (l : list A) : b := T.", OutsideSubsetError, 3, 13),
    "implicit name": ("Fixpoint f {A} (l : list A) : b := T.", OutsideSubsetError, 3, 13),
    "implicit value": ("Definition f {x : b} : b := x.", OutsideSubsetError, 3, 15),
    "missing field": ("Record r := mk { p : b; q : b }. Definition f (x : b) : r := {| p := x |}.", GallinaTypeError, 3, 62),
    "foreign field": ("Record r := mk { p : b; q : b }. Definition f (x : b) : r := {| s := x |}.", GallinaTypeError, 3, 65),
    "field given twice": ("Record r := mk { p : b; q : b }. Definition f (x : b) : r := {| p := x; p := x |}.", GallinaTypeError, 3, 73),
    "projection of a record with parameters": ("Record r (A : Set) := mk { p : A }. Definition f (x : r b) : b := p x.", OutsideSubsetError, 3, 67),
    "alias with an argument": ("Definition e : Set := list b. Definition f (x : e b) : b := T.", GallinaTypeError, 3, 49),
    "alias as a term": ("Definition e : Set := list b. Definition f (x : b) : b := e.", OutsideSubsetError, 3, 59),
    "if after ssreflect": ("From Coq Require Import ssreflect. Definition f (x : b) : b := if x then x else T.", GallinaTypeError, 3, 64),
    "superscript": ("Definition f (x² : b) : b := x².", OutsideSubsetError, 3, 16),
    "symbol": ("Definition f (x : b) : b → b := x.", OutsideSubsetError, 3, 26),
    "import over own names": ("Definition app (x : b) : b := x. Require Import List.", OutsideSubsetError, 3, 34),
    "notation": ("Definition f (x y : nat) : nat := x + y.", OutsideSubsetError, 3, 37),
    "library function": ("Definition f (x : bool) : bool := negb x.", OutsideSubsetError, 3, 35),
    "library": ("Require Import Bool Reals.", OutsideSubsetError, 3, 1),
    "dependent match": ("Definition f (x : b) : b := match x return b with T => T | F => F end.", OutsideSubsetError, 3, 37),
    "cast": ("Definition f (x : b) : b := (x : b).", OutsideSubsetError, 3, 32),
    "pattern let": ("Definition f (x : tree) : b := let '(N y z) := x in T.", OutsideSubsetError, 3, 36),
    "theorem": ("Theorem t : b.", OutsideSubsetError, 3, 1),
    "proof mode": ("Definition f (x : b) : b.", OutsideSubsetError, 3, 25),
    "indices": ("Inductive v : nat -> Set := N0 : v O.", OutsideSubsetError, 3, 15),
    "nested type": ("Inductive rose := R (l : list rose).", OutsideSubsetError, 3, 26),
    "no constructor": ("Inductive e := .", OutsideSubsetError, 3, 11),
    "guessed type": ("Definition f (x : b) : b := let y := nil in x.", OutsideSubsetError, 3, 38),
    "too deep": (f"Definition f : b := {'(' * 300}T{')' * 300}.", OutsideSubsetError, 3, 121),
}  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "line", "column"), REFUSED.values(), ids=REFUSED.keys())
def test_refusals_have_kind_line_and_column(
    text: str, kind: type[SourceError], line: int, column: int
) -> None:
    with pytest.raises(SourceError) as caught:
        elaborate_program(TYPES + text)
    error = caught.value
    assert type(error) is kind
    assert (error.line, error.column) == (line, column)
    if kind is not GallinaSyntaxError or "comment" not in str(error):
        shown, caret = error.excerpt.splitlines()
        assert shown == (TYPES + text).splitlines()[line - 1]
        assert caret == " " * (column - 1) + "^"
    if kind is OutsideSubsetError:
        assert error.hint


ACCEPTED = [
    "Definition f (x : b) : b := (*) a comment *) x.",
    'Definition f (x : b) : b := (* "a *) string" *) x.',
    "Inductive Add := Next (x : b) | End. Definition Check (x : Add) : b := T.",
    "Fixpoint f (x : tree) : b := let y := x in match y with L => T | N l _ => let z := l in f z end.",
    "Fixpoint f (x : tree) : b := match x with N (N _ _ as k) _ => f k | _ => T end.",
    "Fixpoint f (x y : tree) : b := match y with N l _ => f x l | _ => T end.",
    "Inductive α := β₁ | γ' (x₁ : α). Fixpoint λf (x₁ x1 : α) : α := match x₁ with β₁ => x1 | γ' é => γ' (λf é x1) end.",
    "Require Import Bool List Arith. Import ListNotations. Definition f (x : list nat) : list nat := match x with [0; 1] => [2] | _ => [] end.",
    "Inductive seq A := Nil | Cons (x : A) (s : seq A). Arguments Nil {A}. Arguments Cons [A] _ _. Definition f (x : seq b) : seq b := Cons T x.",
    "From Coq Require Import ssreflect. Definition f (x : option nat) (k : b) : nat := if x is Some (S y) then y else if k is T then 3 else 0.",
    "From Coq Require Import ssreflect. Open Scope general_if_scope. Definition f (x : b) : b := if x then x else T.",
    "Definition f (x : option nat) (y : nat) : nat := if x then y else if y then 1 else 2.",
    "Record r : Set := mk { p : b; q : nat; }. Definition f (x : r) : r := match x with {| q := S y |} => {| q := y; p := x.(p) |} | mk y 0 => mk (p x) 5 end.",
    "Structure s := { }. Definition f (x : s) : s := match x with Build_s => x end.",
    "Record pr (A B : Type) := pair' { one : A; two : B }. Definition f (x : pr b nat) : pr nat b := match x with {| one := y; two := z |} => {| one := z; two := y |} end.",
    "Definition env : Set := list b. Definition e := env. Inductive c := C1 (x : env) | C2 : list e -> c. Definition f (x : e) : c := match x with nil => C2 (cons x nil) | _ => C1 x end.",
    "Inductive e := E0 | E1 (o : o) with o := O1 (e : e).\n"
    "Fixpoint f (x : e) : b := match x with E0 => T | E1 y => g y end\n"
    "with g (x : o) : b := match x with O1 y => f y end.",
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_programs_of_the_subset_are_accepted(text: str) -> None:
    elaborate_program(TYPES + text)


def test_long_chain_of_lets_raises_source_error() -> None:
    with pytest.raises(OutsideSubsetError):
        elaborate_program(TYPES + "Definition f (x : b) : b := " + "let x := x in " * 5_000 + "x.")


@pytest.mark.coqc
@pytest.mark.skipif(coqc.COQC is None, reason=coqc.ABSENT)
def test_coqc_refuses_all_but_unsupported_programs(tmp_path: Path) -> None:
    """Every refusal but OutsideSubsetError is one that coqc makes too (text that does not parse
    aside).
    """
    sentences = [TYPES]
    for i, (text, kind, _, _) in enumerate(REFUSED.values()):
        if kind in (GallinaTypeError, NotStructuralError):
            *before, refused = re.split(r"(?<=\.)\s(?=[A-Z])", text)
            named = coqc.module(f"R{i}", [*before, f"Fail {refused}"])
            sentences += named if before else [f"Fail {refused}"]
    assert len(sentences) >= 40
    assert coqc.run(sentences, tmp_path) is None


@pytest.mark.coqc
@pytest.mark.skipif(coqc.COQC is None, reason=coqc.ABSENT)
def test_coqc_accepts_accepted_programs(tmp_path: Path) -> None:
    """And gives it the body that it has here."""
    sentences = [TYPES]
    for i, (text, _) in enumerate(NORMALISED.values()):
        program = elaborate_program(TYPES + text)
        f = program.functions[-1]
        equal = coqc.same("cbv delta [f]", "f", coqc.function_text(f, program))
        sentences += coqc.module(f"N{i}", [text, equal])
    for i, text in enumerate(ACCEPTED):
        sentences += coqc.module(f"A{i}", [text])
    assert coqc.run(sentences, tmp_path) is None
