"""Writes a random graph and changes of single edges, from a seed: edges.csv (`a,b`), updates.csv (`a,b,diff`).

Every other update takes away an edge that is there; the ones between add one.
"""

import random


def generate(folder, nodes, edges, updates, seed=7):
    rng = random.Random(seed)
    present = [(rng.randrange(nodes), rng.randrange(nodes)) for _ in range(edges)]
    with open(folder / "edges.csv", "w", encoding="utf-8") as out:
        out.write("a,b\n")
        out.writelines(f"{a},{b}\n" for a, b in present)
    with open(folder / "updates.csv", "w", encoding="utf-8") as out:
        out.write("a,b,diff\n")
        for i in range(updates):
            if i % 2 == 0:
                at = rng.randrange(len(present))
                (a, b), present[at] = present[at], present[-1]
                present.pop()
                out.write(f"{a},{b},-1\n")
            else:
                a, b = rng.randrange(nodes), rng.randrange(nodes)
                present.append((a, b))
                out.write(f"{a},{b},1\n")
    return present
