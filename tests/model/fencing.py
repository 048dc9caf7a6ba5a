#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Model of the fencing and resume protocol: one writer per history, without clocks.

Usage: fencing.py [--seconds N] [--seed N] [--scenario NAME] [--mutate NAME|all] [--no-conditional]

A state is the store (segments, lineage records, snapshots, head.json), the requests whose sender gave
up waiting (they may land at any later moment, or never), the machines (local database, state,
agent, app) and rollbacks run from elsewhere. A database is a node of a tree of commits, so "a mix of
two writers" is a chain whose next object does not start at the node reached so far. A position is
(index, offset); the WAL header takes one unit, a commit one. Each scenario is searched breadth-first
to its budgets (or to a number of states), then by seeded random walks with more of everything.

Protocol, in order of operations. A position (i, L) has two possible successor keys, i_L (the index goes
on) and (i+1)_0 (the next index); at L = 0 only i_0. Every PUT of a segment or claim is if-absent.

claim     c1 PUT an empty object at i_L; "exists" counts as done when that object is empty, whoever
          wrote it. c2 PUT a header-only object at (i+1)_0: this one decides. At L = 0 only i_0, header-only.
          Any other "exists": start again from s1. The claimer's frames begin at index i+2 or after the header.
start     s1 GET head (keep its ETag). s2 LIST from the position in state; pass over claims; the object
          that state calls pending (key, session, content) is our own: advance. More data = the store is
          ahead: restore when the local database is an ancestor of it, else fork aside or stop.
          Another head generation: adopt when it descends from ours; our own fork: go on there; else stop.
          A position inside a larger object, or before the oldest kept one, also means ahead.
          s3 claim. s4 write head (writer, epoch + 1, no intent) with the ETag of s1; refused: s1. s5 app, push.
push      p1 fdatasync the -wal. p2 state: acknowledged position and pending object, in one write.
          p3 PUT; after a time-out the same bytes to the same key, until the answer is known. p4 acknowledge.
          "exists": ours only if session and content are equal, else superseded. Nothing else is put at
          this position, or beyond it, while an answer is unknown.
superseded  never again a PUT of this session into that generation. GET head: still names our session and
          the object is a claim: start (new session; app stays). Head descends from us: adopt. Else fork aside.
fork aside  lineage record, snapshot; acknowledge into it; head does not move.
rollback  r1 GET head (ETag), optionally write the intent (new ETag). r2 LIST, claim the old generation's end.
          r3 lineage record. r4 snapshot. r5 write head with the ETag of r1; refused: same generation: r1,
          otherwise fail. Time-out: the same request until the answer is known.
adopt     stop the app; what is not acknowledged goes to a fork aside; quarantine; restore head; s3.
init      lineage record, snapshot, head if-absent; then as s5. The app's commits wait for head.
compact   only an index that has a successor; a run begins at offset 0: replace that object with If-Match,
          then delete the others it covers; never a claim. A reader lets an object that covers more win, also
          over an object at a snapshot's replay position.
retain    deletes below a snapshot; a process whose last answer from the store is older than the cut starts
          again from s1 before it writes, and requests are known to expire before.
session   random; a new one at every start, and whenever a writer that ran goes back to s1.

Invariants: I1 acknowledged commits stay in a listed generation; I2 chains never mix; I3 one successor, a
chain seen once only grows; I4 head names a generation with a snapshot; I5 a writer once followed by
another never reappears in the chain; I6 a chain never goes back, and only init and rollback move head;
I7 a generation that head has left gets no more data and head never returns to it; I8 (scenario `lone`)
one machine with its disk is never told that it lost.
"""
import argparse
import random
import sys
import time
from collections import deque
from functools import lru_cache
from typing import NamedTuple

RULES = {
    'claim-both-keys': 'a claim takes i_L and (i+1)_0; off: only i_L',
    'claim-order': 'i_L before (i+1)_0; off: the other way round',
    'restart-claims': 'a restart claims; off: it goes on with its first segment',
    'start-writes-head': 'a start writes head after its claim; off: it does not',
    'etag-before-claim': 'head is read before the claim; off: read again just before the write',
    'snapshot-before-head': 'head moves after the snapshot; off: before',
    'freeze': 'a retry sends the same bytes; off: newer content, own session is enough at read-back',
    'resolve-first': 'an unknown PUT is settled first; off: catch-up goes on at the next index',
    'sticky': 'a superseded session stops; off: it tries the next index',
    'fork-keeps-head': 'a fork aside leaves head alone; off: it moves head',
    'list-covers': 'the listing includes what covers our position, and retention; off: only keys after it',
    'list-first': 'a start lists what lies beyond its position; off: it trusts state',
    'sync-before-put': 'the -wal is durable before its frames are sent; off: power loss takes them',
    'pending': 'state names the object being sent; off: only what was acknowledged',
    'half-claim-reclaim': 'a claim met while head names us means start; off: fork',
    'rollback-claims': 'a rollback claims the old end; off: it only moves head',
    'one-ending': "the generation's compression names the keys; off: each machine's own",
    'compact-anchored': 'a run to compact begins at offset 0; off: anywhere',
    'compact-closed': 'only an index that has a successor is compacted; off: the open one too',
    'compact-if-match': 'compaction replaces with If-Match; off: it overwrites',
    'keep-claims': 'compaction never deletes claims; off: it does',
    'retain-silent': 'a silent writer starts again before it writes; off: it just goes on',
    'snapshot-acked': 'a snapshot is published once its frames are acknowledged; off: at once',
}


class Obj(NamedTuple):
    sess: int
    kind: str      # data | claim
    before: int
    after: int
    size: int


class Mach(NamedTuple):
    app: bool = False
    db: int = None         # None: no file
    dur: int = None        # what a power loss leaves
    st: tuple = None       # state: gen, index, offset, node, session, pending (index, offset, Obj)
    sess: int = None
    pc: str = 'off'
    v: tuple = ()
    stale: bool = False


class Run(NamedTuple):     # the agent's memory while it pushes
    gen: int
    i: int
    o: int
    node: int
    frozen: tuple = None   # (index, offset, Obj) whose answer is unknown
    aside: bool = False


class State(NamedTuple):
    tree: tuple            # parent of each commit
    segs: frozenset        # ((gen, index, offset, ending), Obj)
    lin: tuple             # per generation (parent, reason)
    snaps: frozenset       # (gen, index, offset, node)
    head: tuple            # (epoch, gen, writer, intent)
    zomb: tuple
    ms: tuple
    rs: tuple              # rollbacks: (pc, values)
    cs: tuple              # compactions
    img: tuple             # a copy of some disk
    acked: frozenset
    left: frozenset        # generations that head has left
    bud: tuple
    nsess: int


BUD = ('commit', 'lost', 'crash', 'power', 'start', 'lose', 'image', 'rollback', 'compact', 'retain', 'snap', 'loop')


class Violation(Exception):
    pass


class Model:
    def __init__(self, off=(), conditional=True, lone=False):
        self.off, self.conditional, self.lone = frozenset(off), conditional, lone

    def on(self, rule):
        return rule not in self.off

    # -- the store ---------------------------------------------------------------------------------
    def put(self, s, key, obj):
        have = lookup(s.segs).get(key)
        if have is None:
            yield 'ok', s._replace(segs=s.segs | {(key, obj)})
        elif not self.conditional:
            yield 'ok', s._replace(segs=s.segs - {(key, have)} | {(key, obj)})
        else:
            yield 'exists', s
        if left(s, 'lost'):
            yield 'lost', spend(s, 'lost')._replace(zomb=queue(s, ('put', key, obj)))

    def match(self, head, etag):
        if not self.conditional:
            return True
        if head is None or etag is None:
            return head == etag
        return head[1:] == etag[1:]      # an ETag is the content's; the epoch is not needed for safety

    def set_head(self, s, new):
        gone = {s.head[1]} if s.head and s.head[1] != new[1] else set()
        if gone and s.lin[new[1]][1] != 'rollback':
            raise Violation('I6 head moved without an operator')
        return s._replace(head=new, left=s.left | gone)

    def cas(self, s, etag, new):
        if self.match(s.head, etag):
            yield 'ok', self.set_head(s, new)
        else:
            yield 'fail', s
        if left(s, 'lost'):
            yield 'lost', spend(s, 'lost')._replace(zomb=queue(s, ('head', etag, new)))

    def land(self, s):
        for n, z in enumerate(s.zomb):
            t = s._replace(zomb=s.zomb[:n] + s.zomb[n + 1:])
            if z[0] == 'put':
                have = lookup(t.segs).get(z[1])
                if have is None or not self.conditional:
                    t = t._replace(segs=t.segs - {(z[1], have)} | {(z[1], z[2])})
            elif z[0] == 'over':
                have = lookup(t.segs).get(z[1])
                if have == z[3] or (not self.on('compact-if-match') and have):
                    t = t._replace(segs=t.segs - {(z[1], have)} | {(z[1], z[2])})
            elif self.match(t.head, z[1]):
                t = self.set_head(t, z[2])
            yield f'late {z[0]} {z[1]} lands', t

    def new_gen(self, s, parent, reason):
        return len(s.lin), s._replace(lin=s.lin + ((parent, reason),))

    def claim1(self, s, gen, i, o, node, sess, e):
        """yields (next step or 'again' or 'lost', state, position)"""
        if o == 0 or (not self.on('claim-order') and self.on('claim-both-keys')):
            ki, size = (i, 1) if o == 0 else (i + 1, 1)
            key, done = (gen, ki, 0, e), 'head' if o == 0 else 'c2'
        else:
            key, size, done = (gen, i, o, e), 0, 'c2'
        obj = Obj(sess, 'claim', node, node, size)
        for out, t in self.put(s, key, obj):
            have = lookup(t.segs).get(key)
            if out == 'exists' and (have == obj or have.kind == 'claim' and have.size == 0 == size):
                out = 'ok'
            yield {'ok': done, 'exists': 'again', 'lost': 'lost'}[out], t, (key[1], 1 if size else o)

    def claim2(self, s, gen, i, o, node, sess, e):
        if not self.on('claim-both-keys'):
            yield 'head', s, (i, o)
            return
        if self.on('claim-order'):
            key, size = (gen, i + 1, 0, e), 1
        else:
            key, size = (gen, i, o, e), 0
        obj = Obj(sess, 'claim', node, node, size)
        for out, t in self.put(s, key, obj):
            if out == 'exists' and lookup(t.segs)[key] == obj:
                out = 'ok'
            yield {'ok': 'head', 'exists': 'again', 'lost': 'lost'}[out], t, (i + 1, 1)

    # -- a machine ---------------------------------------------------------------------------------
    def machine(self, s, k):
        m, e = s.ms[k], 0 if self.on('one-ending') else k % 2

        def w(t, **kw):
            return t._replace(ms=t.ms[:k] + (t.ms[k]._replace(**kw),) + t.ms[k + 1:])

        if m.app and left(s, 'commit'):
            t = spend(s, 'commit')
            yield 'commits', w(t._replace(tree=t.tree + (m.db,)), db=len(t.tree))
        if m.pc not in ('off', 'stop') and left(s, 'crash'):
            yield 'agent dies', w(spend(s, 'crash'), pc='off', v=(), sess=None, stale=False)
            if m.app:
                yield 'container dies', w(spend(s, 'crash'), pc='off', v=(), sess=None, app=False, stale=False)
        if m.db is not None and left(s, 'power'):
            yield 'power loss', w(spend(s, 'power'), pc='off', v=(), sess=None, app=False, db=m.dur)
        if m.pc == 'off' and not m.app:
            if left(s, 'lose') and m.db is not None:
                yield 'disk lost', w(spend(s, 'lose'), db=None, dur=None, st=None)
            if s.img:
                yield 'gets the disk image', w(s._replace(img=None), db=s.img[0], dur=s.img[0], st=s.img[1])
        if left(s, 'image') and s.img is None and m.st:
            yield 'disk image taken', spend(s, 'image')._replace(img=(m.db, m.st))
        if m.pc == 'off' and left(s, 'start'):
            t = spend(s, 'start')
            yield 'starts', w(t._replace(nsess=t.nsess + 1), pc='begin', sess=t.nsess)
        elif m.stale and self.on('retain-silent') and m.pc in ('c1', 'c2', 'head', 'run'):
            yield 'silent too long, again', self.again(s, w)
        elif m.pc == 'begin':
            yield 'reads head', w(s, pc='list', v=(s.head,))
        elif m.pc == 'list':
            yield from self.decide(s, m, w)
        elif m.pc in ('c1', 'c2'):
            etag, gen, i, o, node, aside = m.v
            if not self.on('restart-claims') and m.st and m.st[4] is not None:
                yield 'skips the claim', w(s, pc='head')
                return
            step = self.claim1 if m.pc == 'c1' else self.claim2
            for nxt, t, (ni, no) in step(s, gen, i, o, node, m.sess, e):
                if nxt == 'again':
                    yield f'{m.pc} refused, again', w(t, pc='begin', v=())
                elif nxt == 'lost':
                    yield f'{m.pc} no answer', t
                elif nxt == 'head':
                    yield f'{m.pc} done', w(t, pc='head', v=(etag, gen, ni, no, node, aside))
                else:
                    yield f'{m.pc} done', w(t, pc=nxt)
        elif m.pc == 'head':
            yield from self.start_head(s, m, w)
        elif m.pc == 'run':
            yield from self.running(s, k, m, w, e)
        elif m.pc == 'wait':
            if s.head[1] != m.st[0] or s.head[3] is None:
                yield 'sees head', self.again(s, w)
        elif m.pc == 'fork1':
            gen, t = self.new_gen(s, m.v[0], m.v[1])
            yield 'fork: lineage record', w(t, pc='fork2', v=(gen,) + m.v)
        elif m.pc == 'fork2':
            gen, parent, reason, then, etag = m.v
            t = s._replace(snaps=s.snaps | {(gen, 0, 0, m.db)}, acked=s.acked | {m.db})
            st = (gen, 0, 0, m.db, m.sess, None)
            run = Run(gen, 0, 0, m.db, None, True)
            if then == 'adopt':
                yield 'fork: snapshot, then adopts', w(t, pc='begin', v=(), db=None, dur=None, st=None)
            elif then == 'init':
                t = t._replace(acked=s.acked)
                for out, u in self.cas(t, None, (1, gen, m.sess, None)):
                    if out == 'ok' or out == 'fail' and u.head[2] == m.sess:
                        yield 'init: head', w(u, pc='run', st=st, v=run._replace(aside=False), app=True)
                    elif out == 'fail':
                        yield 'init: lost', w(u, pc='begin', v=(), db=None, dur=None, st=None)
                    else:
                        yield 'init: no answer', u
            else:
                if not self.on('fork-keeps-head'):
                    t = self.set_head(t, (t.head[0] + 1, gen, m.sess, None))
                yield 'fork: snapshot', w(t, pc='run', st=st, v=run, app=True, dur=m.db)

    def lost(self, w, s, parent, why):
        """this machine's history is not the store's: fork aside, or stop for an operator"""
        if self.lone:
            raise Violation('I8 a lone machine was told that it lost: ' + why)
        yield 'forks aside: ' + why, w(s, pc='fork1', v=(parent, 'diverged', 'go', None))
        yield 'stops: ' + why, w(s, pc='stop', v=(), app=False)

    def decide(self, s, m, w):
        head = m.v[0]
        if head is None:
            db = 0 if m.db is None else m.db
            yield 'init', w(s, pc='fork1', v=(None, 'init', 'init', None), db=db, dur=db)
            return
        g = head[1]
        if m.st is None:
            c = chain(s.segs, s.snaps, g)
            if c is None:
                raise Violation('I4 head names a generation that cannot be restored')
            i, o, node = c.end
            if m.db is None:
                yield 'restores head', w(s, db=node, dur=node, st=(g, i, o, node, None, None), pc='c1',
                                         v=(head, g, i, o, node, False))
            elif m.db == node:
                yield 'resumes by sum', w(s, st=(g, i, o, node, None, None), pc='c1', v=(head, g, i, o, node, False))
            else:
                yield from self.lost(w, s, g, 'unknown history')
            return
        gen, i, o, node, sess, pend = m.st
        if gen != g:
            if g in descend(s.lin, gen):
                c = chain(s.segs, s.snaps, gen)
                sent = any(m.db in anc(s.tree, n) for _, _, n in c.nodes)
                if sent:
                    yield 'adopts', w(s, db=None, dur=None, st=None, pc='begin', v=(), app=False)
                else:
                    yield 'tail to a fork', w(s, pc='fork1', v=(gen, 'diverged', 'adopt', None), app=False)
                return
            if s.lin[gen][1] != 'diverged' and self.lone:
                raise Violation('I8 a lone machine is foreign')
        aside = gen != g
        if self.on('list-first'):
            c = chain(s.segs, s.snaps, gen)
            if c is None:
                yield from self.lost(w, s, g, 'generation gone')
                return
            rest, beyond = [], [n for n in c.items if n[0] >= (i, o)]
            if self.on('list-covers'):
                if (i, o) < c.nodes[0][:2]:
                    rest.append('retention has passed our position')
                beyond = [n for n in c.items if n[0] >= (i, o) or n[2] > (i, o)]
            for pos, obj, after in beyond:
                if obj.kind == 'claim' or not rest and self.on('pending') and pend == (*pos, obj):
                    i, o, node = after[0], after[1], obj.after if not rest else node
                else:
                    rest.append(obj)
            if rest:
                end = c.end
                if m.db in anc(s.tree, end[2]) and not m.app:
                    yield 'behind: restores', w(s, db=end[2], dur=end[2], st=(gen, *end, None, None), pc='c1',
                                                v=(head, gen, *end, aside))
                else:
                    yield from self.lost(w, s, gen, 'the store is ahead')
                return
        yield 'continues', w(s, pc='c1', v=(head, gen, i, o, node, aside))

    def start_head(self, s, m, w):
        etag, gen, i, o, node, aside = m.v
        run = Run(gen, i, o, node, None, aside)
        if aside or not self.on('start-writes-head'):
            yield 'runs', w(s, pc='run', v=run, app=True)
            return
        if not self.on('etag-before-claim'):
            etag = s.head
            if etag[1] != gen:
                yield 'head moved', w(s, pc='begin', v=())
                return
        for out, t in self.cas(s, etag, (etag[0] + 1, gen, m.sess, None)):
            if out == 'ok' or out == 'fail' and t.head[2] == m.sess:
                yield 'head written, runs', w(t, pc='run', v=run, app=True)
            elif out == 'fail':
                yield 'head refused, again', w(t, pc='begin', v=())
            else:
                yield 'head no answer', t

    def running(self, s, k, m, w, e):
        r = m.v
        if not r.aside and s.head[1] != r.gen:
            yield 'sees that head moved', self.again(w(s, app=False), w)
        if not r.aside and s.head[3] and m.db == r.node and not r.frozen and r.o:
            for out, t in self.cas(s, s.head, (s.head[0] + 1, s.head[1], None, s.head[3])):
                if out == 'ok':
                    yield 'answers the intent', w(t, pc='wait', app=False, st=(*r[:4], m.sess, None), v=())
        if left(s, 'snap') and r.node != 0 and (r.o > 1 and m.db == r.node or not self.on('snapshot-acked')):
            t = spend(s, 'snap')
            yield 'snapshot', t._replace(snaps=t.snaps | {(r.gen, r.i, r.o, m.db)})
        if r.frozen and not self.on('freeze'):
            tries = [(r.frozen[0], r.frozen[1])]
        elif r.frozen and self.on('resolve-first'):
            tries = [r.frozen]
        elif m.db != r.node:
            tries = [(r.i + 1, 0)] if r.frozen else [(r.i, r.o), (r.i + 1, 0)] if r.o else [(r.i, r.o)]
        else:
            return
        for x in tries:
            ki, ko = x[0], x[1]
            size = depth(s.tree, m.db) - depth(s.tree, r.node)
            obj = x[2] if len(x) == 3 else Obj(m.sess, 'data', r.node, m.db, max(size, 1) + (ko == 0))
            key, tgt = (r.gen, ki, ko, e), obj.after
            st = (*r[:4], m.sess, (ki, ko, obj))
            base = w(s, st=st, dur=tgt if self.on('sync-before-put') else m.dur)
            for out, t in self.put(base, key, obj):
                if out == 'exists':
                    have = lookup(t.segs)[key]
                    if have == obj or not self.on('freeze') and have.sess == m.sess:
                        out = 'ok'
                if out == 'ok':
                    t = t._replace(acked=t.acked | {tgt})
                    yield f'push {key} acknowledged', w(t, v=Run(r.gen, ki, ko + obj.size, tgt, None, r.aside))
                elif out == 'lost':
                    yield f'push {key} no answer', w(t, v=r._replace(frozen=(ki, ko, obj)))
                else:
                    yield from self.superseded(t, m, w, r, have, f'push {key} refused, ')

    def again(self, s, w):
        return w(s._replace(nsess=s.nsess + 1), pc='begin', sess=s.nsess, v=(), stale=False)

    def superseded(self, s, m, w, r, have, label):
        if not self.on('sticky'):
            yield label + 'tries the next index', w(s, v=r._replace(i=r.i + 1, o=0, frozen=None))
        mine = s.head[1] == r.gen and s.head[2] == m.sess or r.aside
        if have.kind == 'claim' and mine and self.on('half-claim-reclaim'):
            yield label + 'starts again', self.again(s, w)
        elif not r.aside and s.head[1] != r.gen and s.head[1] in descend(s.lin, r.gen):
            yield label + 'adopts', self.again(w(s, app=False), w)
        else:
            if mine and not r.aside:
                raise Violation('I8 the writer that head names was told that it lost')
            for l, t in self.lost(w, s, r.gen, 'superseded'):
                yield label + l, t

    # -- rollback from elsewhere -------------------------------------------------------------------
    def rollback(self, s, n):
        pc, v = s.rs[n]
        sess = -1 - n

        def w(t, pc, v):
            return t._replace(rs=t.rs[:n] + ((pc, v),) + t.rs[n + 1:])

        if pc == 'idle':
            if left(s, 'rollback') and s.head:
                t = spend(s, 'rollback')
                yield 'reads head', w(t, 'list', (t.head, t.head[1], None))
                h = (t.head[0] + 1, t.head[1], t.head[2], sess)
                for out, u in self.cas(t, t.head, h):
                    if out == 'ok':
                        yield 'sets the intent', w(u, 'list', (h, h[1], None))
            return
        if pc in ('done', 'failed', 'dead'):
            return
        if left(s, 'crash'):
            yield 'dies', w(spend(s, 'crash'), 'dead', ())
        etag, gen, new, *pos = v
        if pc == 'list':
            c = chain(s.segs, s.snaps, gen)
            nxt = 'c1' if self.on('rollback-claims') else 'gen'
            yield 'lists', w(s, nxt, (etag, gen, new, *c.end))
        elif pc in ('c1', 'c2'):
            step = self.claim1 if pc == 'c1' else self.claim2
            for nxt, t, p in step(s, gen, *pos, sess, 0):
                if nxt == 'again':
                    yield f'{pc} refused, again', w(t, 'list', (etag, gen, new))
                elif nxt == 'lost':
                    yield f'{pc} no answer', t
                else:
                    yield f'{pc} done', w(t, 'gen' if nxt == 'head' else nxt, v)
        elif pc == 'gen':
            if new is not None:
                yield 'keeps its generation', w(s, 'head', v)
                return
            g2, t = self.new_gen(s, gen, 'rollback')
            yield 'lineage record', w(t, 'snap' if self.on('snapshot-before-head') else 'head', (etag, gen, g2, *pos))
        elif pc == 'snap':
            c = chain(s.segs, s.snaps, gen)
            for node in sorted({n for _, _, n in c.nodes}):
                t = s._replace(snaps=s.snaps | {(new, 0, 0, node)})
                yield f'snapshot of commit {node}', w(t, 'head' if self.on('snapshot-before-head') else 'done', v)
        elif pc == 'head':
            if not self.on('etag-before-claim') and s.head[1] == gen:
                etag = s.head
            for out, t in self.cas(s, etag, (etag[0] + 1, new, None, None)):
                if out == 'ok' or out == 'fail' and t.head[1] == new:
                    yield 'head moved: success', w(t, 'done' if self.on('snapshot-before-head') else 'snap', v)
                elif out == 'lost':
                    yield 'head no answer', t
                elif t.head[1] == gen:
                    yield 'head refused, again', w(t, 'list', (t.head, gen, new))
                else:
                    yield 'head is elsewhere: fails', w(t, 'failed', ())

    # -- compaction, retention ---------------------------------------------------------------------
    def compact(self, s, n):
        c = s.cs[n]

        def w(t, c):
            return t._replace(cs=t.cs[:n] + (c,) + t.cs[n + 1:])

        if c is None:
            if not left(s, 'compact'):
                return
            for g in range(len(s.lin)):
                ch = chain(s.segs, s.snaps, g)
                for (p, a, _), (q, b, _) in zip(ch.items, ch.items[1:]) if ch else ():
                    claims = b.size == 0 and not self.on('keep-claims')
                    anchored = p[1] == 0 or not self.on('compact-anchored')
                    same = b.kind == 'data' and (a.sess == b.sess or a.kind == 'claim')
                    closed = ch.end[0] > p[0] or not self.on('compact-closed')
                    if p[0] == q[0] and a.size and closed and (anchored and same or claims):
                        new = Obj(b.sess if b.size else a.sess, 'data' if b.size else a.kind,
                                  a.before, b.after, a.size + b.size)
                        yield f'compacts {p} {q}', w(spend(s, 'compact'), ((g, *p, 0), a, new, (g, *q, 0), b))
            return
        key, old, new, gone, b = c
        have = lookup(s.segs).get(key)
        if have == new or old == new:
            t = s._replace(segs=s.segs - {(gone, b)})
            yield f'deletes {gone}', w(t, None)
        elif have == old or have and not self.on('compact-if-match'):
            yield f'replaces {key}', s._replace(segs=s.segs - {(key, have)} | {(key, new)})
        else:
            yield 'gives up', w(s, None)
        if left(s, 'lost') and old != new:
            z = ('over', key, new, old)
            yield f'replacement of {key} no answer, gives up', \
                w(spend(s, 'lost')._replace(zomb=queue(s, z)), None)

    def retain(self, s):
        if not left(s, 'retain'):
            return
        for g, i, o, node in sorted(s.snaps):
            drop = {(k, x) for k, x in s.segs if k[0] == g and k[1] < i}
            if drop:
                t = spend(s, 'retain')
                old = {x for x in t.snaps if x[0] == g and x[1] < i}
                zomb = tuple(z for z in s.zomb if z[0] == 'head' or z[1][0] != g or z[1][1] >= i)
                ms = tuple(m._replace(stale=True) if self.position(m.pc, m.v) < (g, i) == (self.position(m.pc, m.v)[0], i)
                           else m for m in s.ms)
                rs = tuple(('failed', ()) if pc in ('c1', 'c2') and v[1] == g and v[3] < i else (pc, v) for pc, v in s.rs)
                yield f'retention drops below {g}/{i}', t._replace(segs=s.segs - drop, snaps=s.snaps - old,
                                                                  zomb=zomb, ms=ms, rs=rs)

    @staticmethod
    def position(pc, v):
        return v[:2] if pc == 'run' else v[1:3] if pc in ('c1', 'c2', 'head') else (-1, 0)

    # -- all steps, all checks ---------------------------------------------------------------------
    def steps(self, s):
        for l, t, rewrite in self.every_step(s):
            if l.endswith('again'):
                if not left(t, 'loop'):
                    continue
                t = spend(t, 'loop')
            yield l, t, rewrite

    def every_step(self, s):
        for l, t in self.land(s):
            yield l, t, l.startswith('late over')
        for k in range(len(s.ms)):
            for l, t in self.machine(s, k):
                yield f'M{k} {l}', t, False
        for n in range(len(s.rs)):
            for l, t in self.rollback(s, n):
                yield f'R{n} {l}', t, False
        for n in range(len(s.cs)):
            for l, t in self.compact(s, n):
                yield f'K{n} {l}', t, True
        for l, t in self.retain(s):
            yield l, t, True

    def check(self, s, t, rewrite):
        if t.segs == s.segs and t.snaps == s.snaps and t.acked == s.acked and t.head == s.head:
            return
        good = set()
        for g in range(len(t.lin)):
            c = chain(t.segs, t.snaps, g)
            if c is None:
                continue
            if c.problem:
                raise Violation(f'{c.problem} (generation {g})')
            for i, o, n in c.nodes:
                good |= anc(t.tree, n)
            for a, b in zip(c.nodes, c.nodes[1:]):
                if a[2] not in anc(t.tree, b[2]):
                    raise Violation(f'I6 the chain of generation {g} goes back from {a[2]} to {b[2]}')
            blocks = [x.sess for _, x, _ in c.items if x.kind == 'data']
            heads = [x for n, x in enumerate(blocks) if n == 0 or blocks[n - 1] != x]
            if len(heads) != len(set(heads)):
                raise Violation(f'I5 a superseded writer reappears in generation {g}: {blocks}')
            for sg, i, o, n in t.snaps:
                if sg == g and (n not in anc(t.tree, c.end[2]) or any(x[:2] == (i, o) and x[2] != n for x in c.nodes)):
                    raise Violation(f'I2 snapshot of generation {g} is not a state of its chain')
            was = chain(s.segs, s.snaps, g) if g < len(s.lin) else None
            if was and not rewrite and was.nodes != c.nodes[:len(was.nodes)]:
                raise Violation(f'I3 an earlier listing of generation {g} is not a prefix of a later one')
            if was and rewrite and was.end != c.end:
                raise Violation(f'I1 compaction or retention moved the end of generation {g}')
            if was and g in s.left and was.end[2] != c.end[2]:
                raise Violation(f'I7 generation {g} grew after head had left it')
        if not t.acked <= good:
            raise Violation(f'I1 acknowledged commits {sorted(t.acked - good)} are in no generation')
        if t.head:
            if t.head[1] in t.left:
                raise Violation('I7 head is back at a generation it had left')
            if chain(t.segs, t.snaps, t.head[1]) is None:
                raise Violation('I4 head names a generation without a snapshot')


class Chain(NamedTuple):
    nodes: tuple     # (index, offset, node) after each object
    items: tuple     # ((index, offset), Obj, (index, offset) after it)
    end: tuple
    problem: str


@lru_cache(1 << 18)
def lookup(segs):
    return dict(segs)


@lru_cache(1 << 18)
def chain(segs, snaps, g):
    """What a reader makes of one listing of a generation; None without a snapshot."""
    starts = sorted(x for x in snaps if x[0] == g)
    if not starts:
        return None
    _, i, o, node = starts[0]
    first, objs, problem = (i, o), {}, None
    for (gen, ki, ko, e), x in segs:
        if gen == g:
            if (ki, ko) in objs:
                problem = f'I3 two objects at {ki}_{ko}'
            objs[ki, ko] = x
    nodes, items, covered = [(i, o, node)], [], []
    inside = [(k, x) for k, x in objs.items() if k[0] == i and k[1] < o < k[1] + x.size]
    if inside:      # the snapshot's position lies inside a compacted object, which wins
        k, x = max(inside)
        items.append((k, x, (i, k[1] + x.size)))
        covered.append((i, *first[1:], k[1] + x.size))
        o, node = k[1] + x.size, x.after
        nodes.append((i, o, node))
    while not problem:
        x = objs.get((i, o))
        if x:
            if x.before != node:
                problem = f'I2 broken chain at {i}_{o}: it starts from {x.before}, not {node}'
                break
            items.append(((i, o), x, (i, o + x.size)))
            covered.append((i, o, o + x.size))
        if x and x.size:
            o, node = o + x.size, x.after
            nodes.append((i, o, node))
        elif (i + 1, 0) in objs and o:
            i, o = i + 1, 0
        else:
            break
    for k in sorted(objs):
        if not problem and k >= first and not any(a == k[0] and (b <= k[1] < c or b == k[1]) for a, b, c in covered):
            problem = f'I1 {k[0]}_{k[1]} cannot be reached'
    return Chain(tuple(nodes), tuple(items), (i, o, node), problem)


@lru_cache(1 << 16)
def anc(tree, n):
    out = set()
    while n is not None:
        out.add(n)
        n = tree[n]
    return frozenset(out)


def depth(tree, n):
    return len(anc(tree, n))


@lru_cache(1 << 12)
def descend(lin, g):
    """generations that rollbacks made out of g"""
    out, more = set(), {g}
    while more:
        more = {n for n, (p, why) in enumerate(lin) if p in more and why == 'rollback'} - out
        out |= more
    return frozenset(out)


def queue(s, request):
    return tuple(sorted(s.zomb + (request,), key=repr))


def left(s, what):
    return s.bud[BUD.index(what)]


def spend(s, what):
    n = BUD.index(what)
    return s._replace(bud=s.bud[:n] + (s.bud[n] - 1,) + s.bud[n + 1:])


SCENARIOS = {   # machines, rollbacks, compactors, budgets
    'lone': (1, 0, 0, dict(commit=3, lost=2, crash=1, start=2, loop=3)),
    'takeover': (2, 0, 0, dict(commit=2, lost=1, start=2, loop=1)),
    'deploy': (2, 0, 0, dict(commit=1, crash=1, lose=1, start=3, loop=1)),
    'image': (2, 0, 0, dict(commit=2, start=2, image=1, loop=1)),
    'power': (1, 0, 0, dict(commit=3, lost=1, power=1, start=2, loop=1)),
    'rollback': (1, 1, 0, dict(commit=2, lost=1, start=1, rollback=1, loop=1)),
    'rollbacks': (1, 2, 0, dict(commit=1, start=1, rollback=2, loop=1)),
    'restart-in-rollback': (2, 1, 0, dict(commit=1, start=2, rollback=1, loop=1)),
    'init': (2, 0, 0, dict(commit=1, crash=1, start=3, loop=1)),
    'compact': (1, 0, 2, dict(commit=4, lost=1, start=1, compact=3, loop=1)),
    'compact-takeover': (2, 0, 1, dict(commit=2, start=2, compact=1, loop=1)),
    'compact-image': (1, 0, 1, dict(commit=3, crash=1, start=2, image=1, compact=1, loop=1)),
    'retain': (2, 0, 0, dict(commit=2, start=2, snap=1, retain=1, loop=1)),
    'retain-image': (1, 0, 0, dict(commit=2, crash=1, start=2, image=1, snap=1, retain=1, loop=1)),
}


# where the lack of a rule shows first (others: found by `lone`)
SHOWS = {
    'claim-both-keys': 'rollback', 'start-writes-head': 'rollback', 'etag-before-claim': 'rollback',
    'snapshot-before-head': 'rollback', 'sticky': 'takeover', 'fork-keeps-head': 'image', 'list-first': 'image',
    'list-covers': 'retain-image', 'sync-before-put': 'power', 'half-claim-reclaim': 'takeover',
    'rollback-claims': 'rollback', 'one-ending': 'takeover', 'compact-anchored': 'compact',
    'compact-closed': 'compact-takeover', 'compact-if-match': 'compact', 'keep-claims': 'compact-takeover', 'retain-silent': 'retain',
    'snapshot-acked': 'retain',
}


def initial(machines, rollbacks, compactors, budget, virgin=False):
    bud = tuple(budget.get(b, 0) for b in BUD)
    ms = tuple(Mach() for _ in range(machines))
    rs, cs = (('idle', ()),) * rollbacks, (None,) * compactors
    if virgin:
        return State((None,), frozenset(), (), frozenset(), None, (), ms, rs, cs, None, frozenset(), frozenset(), bud, 1)
    first = Obj(0, 'data', 0, 1, 2)
    ms = (Mach(db=1, dur=1, st=(0, 0, 2, 1, 0, None)),) + ms[1:]
    return State((None, 0), frozenset({((0, 0, 0, 0), first)}), ((None, 'init'),), frozenset({(0, 0, 0, 0)}),
                 (1, 0, None, None), (), ms, rs, cs, None, frozenset({1}), frozenset(), bud, 1)


def search(model, start, max_states, deadline):
    """breadth-first; (states, complete, violation, trace)"""
    seen, queue, done = {start: None}, deque([start]), True
    while queue:
        s = queue.popleft()
        if len(seen) >= max_states or time.monotonic() > deadline:
            done = False
            break
        label = '?'
        try:
            for label, t, rewrite in model.steps(s):
                if t in seen:
                    continue
                model.check(s, t, rewrite)
                seen[t] = (s, label)
                queue.append(t)
        except Violation as v:
            trace = [label if 'I6 head' not in str(v) and 'I8' not in str(v) else 'and then']
            while seen[s]:
                s, l = seen[s]
                trace.append(l)
            return len(seen), False, str(v), trace[::-1]
    return len(seen), done, None, None


def walk(model, start, rng, steps):
    s, trace = start, []
    for _ in range(steps):
        label = '?'
        try:
            nxt = list(model.steps(s))
            if not nxt:
                break
            label, t, rewrite = rng.choice(nxt)
            model.check(s, t, rewrite)
        except Violation as v:
            return str(v), trace + [label]
        s, trace = t, trace + [label]
    return None, trace


DEEP = dict(commit=14, lost=6, crash=5, start=10, power=2, lose=2, image=2, rollback=3, compact=4, retain=2, snap=3, loop=40)


def explore(off, conditional, names, seconds, seed, quiet=False):
    total, end = 0, time.monotonic() + seconds
    for n, name in enumerate(names):
        model = Model(off, conditional, name == 'lone')
        share = time.monotonic() + (end - time.monotonic()) * 0.8 / (len(names) - n)
        states, full, bad, trace = search(model, initial(*SCENARIOS[name], name == 'init'), 1 << 22, share)
        total += states
        if not quiet:
            print(f'{name:20} {states:8} states {"all" if full else "cut"}' + (f'  {bad}' if bad else ''), flush=True)
        if bad:
            return total, bad, trace, name
    rng, walks = random.Random(seed), 0
    while time.monotonic() < end:
        name = 'virgin' if walks % 8 == 0 else 'deep'
        bad, trace = walk(Model(off, conditional), initial(3, 3, 2, DEEP, name == 'virgin'), rng, 220)
        walks += 1
        if bad:
            return total, bad, trace, f'random walk {walks}'
    if not quiet:
        print(f'{"random walks":20} {walks:8} walks of up to 220 steps')
    return total, None, None, None


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('--seconds', type=float, default=55)
    ap.add_argument('--seed', type=int, default=1)
    ap.add_argument('--scenario', choices=SCENARIOS)
    ap.add_argument('--mutate', metavar='RULE', help='switch one rule off, or "all" of them in turn')
    ap.add_argument('--no-conditional', action='store_true', help='a store that ignores If-None-Match and If-Match')
    a = ap.parse_args()
    names = [a.scenario] if a.scenario else list(SCENARIOS)
    if a.mutate == 'all':
        missed = []
        for rule in RULES:
            t0 = time.monotonic()
            show = [a.scenario or SHOWS.get(rule, 'lone')]
            total, bad, trace, where = explore({rule}, True, show, a.seconds, a.seed, True)
            print(f'{rule:22} {bad or "NOT FOUND"} [{where}, {len(trace or ())} steps, {time.monotonic() - t0:.0f} s]', flush=True)
            missed += [] if bad else [rule]
        sys.exit(1 if missed else 0)
    if a.mutate and a.mutate not in RULES:
        ap.error('rules: ' + ' '.join(RULES))
    total, bad, trace, where = explore({a.mutate} if a.mutate else (), not a.no_conditional, names, a.seconds, a.seed)
    print(f'{total} states explored: ' + (f'VIOLATION {bad} [{where}]' if bad else 'no violation'))
    for l in trace or ():
        print('   ', l)
    sys.exit(1 if bad else 0)


if __name__ == '__main__':
    main()
