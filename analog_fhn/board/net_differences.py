"""Nets of two circuits of the same parts: which is which, whatever their names, and where they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from analog_fhn._support.words import listed
from analog_fhn.board.parts import Part, base_name, nets, node_name

Terminals = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Matched:
    """Nets that are the same.

    Parameters
    ----------
    nodes
        Node of the netlist by net of the schematic.
    sentences
        What differs: a node or part of the netlist, and how.
    """

    nodes: Mapping[str, str]
    sentences: list[tuple[str, str]]


def match_nets(netlist: Mapping[str, Part], drawn: Mapping[str, Part]) -> Matched:
    """Compare nets as sets of terminals, of the terminals that both circuits have.

    The terminals on each net fix a circuit of named parts: it is the same if these sets are. Of what is not, each node
    of the netlist is taken for the net with which it has most terminals in common.

    Parameters
    ----------
    netlist, drawn
        Parts by path.
    """
    common = {path: _with_terminals(netlist[path], part) for path, part in drawn.items()}
    theirs, ours = nets(common), nets(drawn)
    by_terminals = {terminals: net for net, terminals in ours.items()}
    pairs = {node: by_terminals[terminals] for node, terminals in theirs.items() if terminals in by_terminals}
    open_nodes = {node: terminals for node, terminals in theirs.items() if node not in pairs}
    open_nets = {net: terminals for net, terminals in ours.items() if net not in pairs.values()}
    pairs |= _closest(open_nodes, open_nets)
    sentences = list(_sentences(open_nodes, open_nets, pairs, drawn))
    return Matched({net: node for node, net in pairs.items()}, sentences)


def _with_terminals(known: Part, part: Part) -> Part:
    return Part(known.kind, {terminal: net for terminal, net in known.terminals.items() if terminal in part.terminals})


def _closest(nodes: Mapping[str, Terminals], drawn: Mapping[str, Terminals]) -> dict[str, str]:
    """Net by node, each once: those that share most first, and of as many those of one name."""
    where = {terminal: net for net, terminals in drawn.items() for terminal in terminals}
    shared = Counter(
        (node, where[terminal]) for node, terminals in nodes.items() for terminal in terminals if terminal in where
    )
    pairs: dict[str, str] = {}
    ranks = {pair: (-count, node_name(pair[0]) != base_name(pair[1]), pair) for pair, count in shared.items()}
    for node, net in sorted(ranks, key=ranks.__getitem__):
        if node not in pairs and net not in pairs.values():
            pairs[node] = net
    return pairs


def _sentences(
    nodes: Mapping[str, Terminals],
    drawn: Mapping[str, Terminals],
    pairs: Mapping[str, str],
    parts: Mapping[str, Part],
) -> Iterator[tuple[str, str]]:
    """What is on another net than it should be, each pair of a node and a net once."""
    paired = {net: node for node, net in pairs.items()}
    for node, terminals in nodes.items():
        for net, others in drawn.items():
            strays = sorted(terminals & others)
            if not strays or pairs.get(node) == net:
                continue
            who = listed((_terminal(parts, *stray) for stray in strays), 4)
            name = strays[0][0] if len(strays) == 1 else node
            where = f"{who}: on net {net} of the schematic"
            if node not in pairs:
                sentence = f"{where}, which joins nodes {paired[net]} and {node} of the netlist"
            elif net not in paired:
                sentence = f"{where}, cut off from {pairs[node]}, node {node} of the netlist"
            else:
                known = "" if pairs[node] == node else f", there {pairs[node]}"
                sentence = f"{where}, in the netlist on {node}{known}"
            yield name, sentence


def _terminal(parts: Mapping[str, Part], path: str, terminal: str) -> str:
    """A terminal in words, with the part's name in both circuits."""
    return f"{parts[path].name}{f' pin {terminal}' if terminal else ''} ({path})"
