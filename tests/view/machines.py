"""Hand-written machines that the drawings are tested on."""

from __future__ import annotations

from recinterp.machine import Machine

SUCCESSOR = Machine.parse("""
vocab X0/1 X1/1 01/0
start carry
registers p := 0
mode carry
  flip: in(p) = X1 -> emit X0, p := p + 1, goto carry
  stop: in(p) = X0 -> emit X1, p := p + 1, goto copy
  base: in(p) = 01 -> emit X0 01, halt
mode copy
  same: in(p) in {X0, X1} -> emit in(p), p := p + 1, goto copy
  last: in(p) = 01 -> emit in(p), halt
""")


def capped(depth: int = 3) -> Machine:
    """The successor that forgets its carry beyond a depth."""
    blocks = ["vocab X0/1 X1/1 01/0", "start c0", "registers p := 0"]
    for k in range(depth + 1):
        go = ("X0", f"c{k + 1}") if k < depth else ("X1", "copy")
        blocks += [
            f"mode c{k}",
            f"  flip{k}: in(p) = X1 -> emit {go[0]}, p := p + 1, goto {go[1]}",
            f"  stop{k}: in(p) = X0 -> emit X1, p := p + 1, goto copy",
            f"  base{k}: in(p) = 01 -> emit X0 01, halt",
        ]
    blocks += [
        "mode copy",
        "  same: in(p) in {X0, X1} -> emit in(p), p := p + 1, goto copy",
        "  last: in(p) = 01 -> emit 01, halt",
    ]
    return Machine.parse("\n".join(blocks))


COUNTER = Machine.parse("""
vocab X0/1 X1/1 01/0
start carry
registers p := 0, c := 0
mode carry
  flip: in(p) = X1 and c < 3 -> emit X0, p := p + 1, c := c + 1, goto carry
  over: in(p) = X1 and c >= 3 -> emit X1, p := p + 1, goto copy
  stop: in(p) = X0 -> emit X1, p := p + 1, goto copy
  base: in(p) = 01 -> emit X0 01, halt
mode copy
  same: in(p) in {X0, X1} -> emit in(p), p := p + 1, goto copy
  last: in(p) = 01 -> emit in(p), halt
""")

REVERSE = Machine.parse("""
vocab X0/1 X1/1 01/0
start read
registers p := 0
mode read
  turn: in(p) = 01 and find(p + 1, +1, {X1}) = n -> emit 01 X0, p := p + 1, goto carry
  head: in(p) = 01 and find(p + 1, +1, {X1}) != n -> emit 01, p := p + 1, goto read
  same: in(p) in {X0, X1} and find(p + 1, +1, {X1}) != n -> emit in(p), p := p + 1, goto read
  stop: in(p) = X0 and find(p + 1, +1, {X1}) = n -> emit X1, p := p + 1, goto carry
mode carry
  zero: in(p) = X1 -> emit X0, p := p + 1, goto carry
  end: in(p) = $ -> halt
""")

INORDER = Machine.parse("""
vocab Node/3 Leaf/0 a/0 b/0
start walk
registers p := 0
frames Middle
mode walk
  down: in(p) = Node -> push Middle(p + 1), p := p + 2, goto walk
  up: in(p) = Leaf and top is Middle -> emit in(top), pop, p := p + 1, goto walk
  done: in(p) = Leaf and stack is empty -> halt
""")

LOST = Machine.parse("""
vocab Node/3 Leaf/0 a/0 b/0
start walk
registers p := 0, d := 0
frames Middle
mode walk
  down: in(p) = Node and d < 3 -> push Middle(p + 1), p := p + 2, d := d + 1, goto walk
  over: in(p) = Node and d >= 3 -> lost wrong, halt
  up: in(p) = Leaf and top is Middle -> emit in(top), pop, p := p + 1, d := d - 1, goto walk
  done: in(p) = Leaf and stack is empty -> halt
""")

DRAWN = {
    "successor": SUCCESSOR,
    "capped": capped(),
    "counter": COUNTER,
    "reverse": REVERSE,
    "inorder": INORDER,
    "lost": LOST,
}
