"""Constructs of Gallina outside the subset, by the word that shows them; what to write instead."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from enum import Enum


class _UnsupportedKind(Enum):
    """Constructs outside the subset that several words begin: (what it is, what to write)."""

    FUNCTIONS = ("functions as values", "give the function a name with Definition or Fixpoint")
    PROOFS = ("theorems and proofs", "keep only Inductive, Definition and Fixpoint sentences")
    COMMANDS = ("this command", "keep only Inductive, Definition and Fixpoint sentences")
    SECTIONS = (
        "sections, modules and variables",
        "write each definition at the top level, at a concrete type",
    )
    NOTATION = ("notations", "write the constructor or function by its name")
    CLASSES = ("classes and coercions", "write a Record or an Inductive with one constructor")


_WORDS_OF = {
    _UnsupportedKind.CLASSES: "Class Instance Canonical Coercion Existing",
    _UnsupportedKind.NOTATION: "Notation Infix Reserved Delimit Bind Close Declare",
    _UnsupportedKind.SECTIONS: "Section End Module Variable Variables Parameter Parameters Axiom"
    " Hypothesis Context",
    _UnsupportedKind.PROOFS: "Theorem Lemma Example Fact Remark Corollary Proposition Goal Proof"
    " Qed Defined Abort Admitted Admit Ltac Hint Obligation",
}
_ADVICE: Mapping[str, tuple[str, str]] = {
    "fun": _UnsupportedKind.FUNCTIONS.value,
    "forall": ("dependent and polymorphic types", "write the function at one concrete type"),
    "fix": ("a nested fix", "write it as a Fixpoint of its own, and pass it what it needs"),
    "cofix": ("coinduction", "write an Inductive and a Fixpoint"),
    "CoFixpoint": ("coinduction", "write an Inductive and a Fixpoint"),
    "CoInductive": ("coinduction", "write an Inductive and a Fixpoint"),
    "return": ("dependent matches", "leave out the return clause: all branches have one type"),
    "where": ("notations", "leave out the where clause"),
    "Variant": ("Variant", "write Inductive"),
    "Prop": ("propositions", "write the type in Set"),
    "SProp": ("propositions", "write the type in Set"),
    "Function": ("recursion that is not structural", "write a Fixpoint on a subterm"),
    "Program": ("recursion that is not structural", "write a Fixpoint on a subterm"),
    "Equations": ("recursion that is not structural", "write a Fixpoint on a subterm"),
    "'": ("a let of a pattern", "match on the term"),
    "@": ("explicit type arguments", "leave them out, or write 'let name : type := …'"),
    "%": ("scopes", "leave out the scope"),
    "#": ("attributes", "leave them out"),
    "Let": ("sections, modules and variables", "write Definition"),
    **{word: kind.value for kind, words in _WORDS_OF.items() for word in words.split()},
}  # fmt: skip


def advise_on_word(word: str) -> tuple[str, str]:
    """(what is outside the subset, what to write instead) for a word or symbol of the text."""
    if word in _ADVICE:
        what, instead = _ADVICE[word]
    elif word[0].isalpha():
        what, instead = _UnsupportedKind.COMMANDS.value
    elif not word.isascii():
        what = "a character that no name can have"
        instead = "write letters of any script, digits, _ and '"
    else:
        what, instead = _UnsupportedKind.NOTATION.value
    return f"{word!r} ({what})", instead


_BY_TOKEN = {
    "->": _UnsupportedKind.FUNCTIONS.value,
    ":=": ("arguments by name", "write them in their order"),
    "in": ("a dependent match", "leave out what stands between the term and 'with'"),
    "as": ("a dependent match", "leave out what stands between the term and 'with'"),
}


def explain_misplaced_token(
    before: str, token: str, expected: Collection[str]
) -> tuple[str, str] | None:
    """Explain a token that cannot stand here by what it would begin in Gallina at large.

    Args:
        before: The text in front of the token.
        token: The token itself.
        expected: Names of the terminals of the grammar that could stand here.

    Returns:
        What is outside the subset, and what to write instead; None for a plain mistake.
    """
    sentence = re.split(r"\.\s", before)[-1].split()
    first = sentence[0] if sentence else token
    if first not in ("Inductive", "Fixpoint", "Definition", "Record", "Structure"):
        return advise_on_word(first)
    return _explain_by_text(before, sentence, token, expected, first) or _explain_by_terminals(
        sentence, token, expected, is_type=first == "Inductive"
    )


def _explain_by_text(
    before: str, sentence: Sequence[str], token: str, expected: Collection[str], first: str
) -> tuple[str, str] | None:
    """The explanation that the text of the sentence so far suggests."""
    # Words of commands that coqc takes as names too.
    sentences = r"Record|Structure|Inductive|Fixpoint|Definition|Arguments"
    name = rf"{sentences}|Require|Import|Export|From|Open|Scope|struct"
    if re.fullmatch(name, token) and "NAME" in expected:
        return f"{token!r} as a name", "choose another name"
    if re.search(r"\blet\s+(\(|\w+\s+|\(.*)?$", before) and token != "in":
        return "a let of a function or of a pattern", "define the function by itself, or match"
    if re.search(r"\{\s*(measure|wf|struct)?[^}]*$", before) and first == "Fixpoint":
        return "recursion that is not structural", "write {struct x}, or recurse on a subterm"
    ends_statement = token in (".", ",") and "COLON" not in expected and "__ANON_0" in expected
    return _UnsupportedKind.PROOFS.value if ends_statement and sentence[-1] != ":=" else None


def _explain_by_terminals(
    sentence: Sequence[str], token: str, expected: Collection[str], *, is_type: bool
) -> tuple[str, str] | None:
    """The explanation that the token and the terminals expected in its place suggest."""
    if token == "," and "RPAR" in expected:
        return "',' (the notation of pairs)", "write pair x y"
    if token in ("Set", "Type"):
        return "a name for a type", "write the type itself where it is used"
    if token == "{":
        return "a dependent type", "write a plain type"
    if is_type and len(sentence) == 2:
        return "a parameter without its sort", "write (A : Type)"
    if token == ":" and "RPAR" in expected:
        return "a type written inside a term", "leave it out, or write a typed let"
    if is_type and "SORT" in expected:
        return "a type with indices", "write a plain type, `name : Set`"
    is_plain_mistake = token in ("in", "as") and "WITH" not in expected
    return None if is_plain_mistake else _BY_TOKEN.get(token)
