"""Training steps of Ebb beside the same steps of libtorch and of a program written by hand.

usage: steps.py [--quick] [--one-thread] [--only NAMES] [--rounds N]
                bench_steps_ebb bench_steps_by_hand [bench_steps_torch]

All take turns, each in a process of its own; ratios are medians of the rounds'.  libtorch is tuned first, for each
workload: 1 and 2 threads, with 1 and 2 for its BLAS, each set of instructions, and a C library that keeps memory or gives
it back.  Losses of the first steps must agree to 1e-5.
"""
import argparse
import itertools
import os
import subprocess
import sys

from turns import Runner, machine, ratio, table, take_turns

AGREE_STEPS, AGREEMENT = 25, 1e-5
# What is claimed: libtorch's time over Ebb's, with one thread, and each at its best; Ebb's with one thread, eager and
# replayed, over the floor: the step by hand over BLAS, or where there is none the arithmetic limit.
GOALS = {
    'mlp-1': {'best': 60, 'eager': 2, 'replay': 1.2},
    'mlp-32': {'best': 12, 'eager': 1.4, 'replay': 1.15},
    'mlp-1024': {'best': 1.7, 'eager': 1.1, 'replay': 1.1},
    'digits': {'best': 1.8, 'eager': 1.5, 'replay': 1.5},
    'cnn': {'one': 1.5, 'best': 1.5},
    'lstm-256': {'one': 1.7, 'best': 2.5, 'eager': 1.4, 'replay': 1.4},
    'lstm-32': {'best': 10},
    'one-element': {'best': 60},
    'one-multiply': {'best': 60},
}
KEEP_MEMORY = 'glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=1073741824'


def tuned(torch, name, options):
    """The settings of libtorch that are fastest: with one thread; with any; and with any, malloc() as it comes."""
    # 'default' is the oldest set of instructions; avx2 is what libtorch takes unasked.
    capabilities = ['avx2'] if options.quick else ['default', 'avx2', 'avx512']
    runners = []
    settings_tried = itertools.product(options.threads, options.threads, capabilities, [False, True])
    for threads, blas, capability, keep in settings_tried:
        settings = {'TORCH_THREADS': threads, 'OMP_NUM_THREADS': threads, 'OPENBLAS_NUM_THREADS': blas,
                    'ATEN_CPU_CAPABILITY': capability}
        if keep:
            settings['GLIBC_TUNABLES'] = KEEP_MEMORY
        runners.append(Runner([torch, name], max(threads, blas), **settings))
    take_turns(runners, 3 if options.quick else 5, 0.02, drop=1.3)
    for runner in runners:
        runner.close()

    def best(accept):
        # By the fastest turn: another program that runs meanwhile falls upon two threads harder than upon one.
        return min((r for r in runners if accept(r.settings)), key=lambda r: min(r.wall)).settings

    return {'torch one': best(lambda s: s['TORCH_THREADS'] == s['OPENBLAS_NUM_THREADS'] == 1),
            'torch best': best(lambda s: True),
            'torch plain': best(lambda s: 'GLIBC_TUNABLES' not in s)}


def told(settings):
    """Settings in short: threads/BLAS threads, instructions, and whether malloc() keeps memory."""
    return '{}/{} {}{}'.format(settings['TORCH_THREADS'], settings['OPENBLAS_NUM_THREADS'],
                               settings['ATEN_CPU_CAPABILITY'], ' keep' * ('GLIBC_TUNABLES' in settings))


def microseconds(seconds):
    return f'{seconds * 1e6:.3g}' if seconds < 1e-4 else f'{seconds * 1e6:.0f}'


def agree(losses):
    return all(abs(a - b) <= AGREEMENT * max(abs(b), 1e-2) for other in losses for a, b in zip(other, losses[0]))


class Row:
    """One workload, measured."""

    def __init__(self, name, flops, parts, options):
        self.name, self.parts = name, parts
        self.ways = {}
        for threads, way in itertools.product(options.threads, ['eager', 'replay']):
            if way == 'replay' and name.startswith('one-'):
                continue  # the cost of recording is what these measure
            self.ways[f'{way} {threads}'] = Runner([options.ebb, name, way], threads, EBB_NUM_THREADS=threads)
        if name.startswith('mlp'):
            self.ways['over BLAS'] = Runner([options.by_hand, name, 'blas'], 1, OPENBLAS_NUM_THREADS=1)
            self.ways['in registers'] = Runner([options.by_hand, name], 1)
        if options.torch:
            for way, settings in tuned(options.torch, name, options).items():
                alike = [other for other in self.ways.values() if other.settings == settings]
                threads = max(settings['TORCH_THREADS'], settings['OPENBLAS_NUM_THREADS'])
                self.ways[way] = alike[0] if alike else Runner([options.torch, name], threads, **settings)
        runners = list(dict.fromkeys(self.ways.values()))
        self.losses = {runner.command: runner.ask(f'losses {AGREE_STEPS}') for runner in runners}

        probe = Runner([options.by_hand, 'fma1'], 1)
        work = probe.ask('losses 1')[0]
        take_turns([*runners, probe], options.rounds, 0.02 if options.quick else 0.04)
        self.limit = flops * probe.median / work
        self.memory = {runner: runner.ask('memory') for runner in runners}
        for runner in [*runners, probe]:
            runner.close()

    def fastest(self, *starts):
        return min((way for key, way in self.ways.items() if key.startswith(starts)), key=lambda way: min(way.wall))

    def times(self):
        def time(key):
            way = self.ways.get(key)
            if way is None:
                return '-'
            settings = f' [{told(way.settings)}]' if key.startswith('torch') else ''
            return microseconds(way.median / self.parts) + settings

        ours = ('eager 1', 'eager 2', 'replay 1', 'replay 2', 'over BLAS', 'in registers')
        return [self.name, *map(time, ours), microseconds(self.limit) if self.limit else '-',
                *map(time, ('torch one', 'torch best', 'torch plain'))]

    def ratios(self):
        """Each with its goal, if it has one."""
        goals = GOALS[self.name]

        def versus(what, value, at_least):
            if value is None:
                return '-'
            goal = goals.get(what)
            if goal is None:
                return f'{value:.2f}'
            met = value >= goal if at_least else value <= goal
            return f'{value:.2f} ({"≥" if at_least else "≤"} {goal:g}: {"yes" if met else "NO"})'

        def over_floor(way):
            if way not in self.ways:
                return None
            if 'over BLAS' in self.ways:
                return ratio(self.ways[way], self.ways['over BLAS'])
            return self.ways[way].median / self.limit if self.limit else None

        one, best = self.fastest('eager 1', 'replay 1'), self.fastest('eager', 'replay')
        cells = [self.name]
        for what, ours in (('one', one), ('best', best), ('plain', best)):
            torch = self.ways.get(f'torch {what}')
            cells.append(versus(what, ratio(torch, ours) if torch else None, True))
        cells += [versus(way, over_floor(f'{way} 1'), False) for way in ('eager', 'replay')]
        for way in ('eager 1', 'replay 1'):
            both = way in self.ways and 'in registers' in self.ways
            cells.append(f'{ratio(self.ways[way], self.ways["in registers"]):.2f}' if both else '-')
        both = 'eager 2' in self.ways
        return cells + [f'{ratio(one, self.fastest("eager 2", "replay 2")):.2f}' if both else '-']

    def usages(self):
        for key, way in self.ways.items():
            most, held = self.memory[way]
            yield [self.name, key, *(f'{number:g}' for number in way.usage), f'{most / 2**20:.2f}',
                   f'{held / 2**20:.2f}' if held else '-']


def probed(by_hand, threads_used):
    """The peak of the machine."""
    found = []
    for (what, unit), threads in itertools.product((('fma', 'GFLOP/s'), ('copy', 'GB/s')), threads_used):
        runner = Runner([by_hand, f'{what}{threads}'], threads)
        work = runner.ask('losses 1')[0]
        take_turns([runner], 9, 0.03)
        runner.close()
        found.append(f'{what} {threads}t {work / min(runner.seconds) / 1e9:.1f} {unit}')
    return ', '.join(found)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('ebb')
    parser.add_argument('by_hand')
    parser.add_argument('torch', nargs='?')
    parser.add_argument('--quick', action='store_true', help='fewer rounds, fewer settings of libtorch')
    parser.add_argument('--only', help='workloads, with commas between')
    parser.add_argument('--rounds', type=int)
    parser.add_argument('--one-thread', dest='threads', action='store_const', const=[1], default=[1, 2],
                        help='nothing with two, for a machine that is busy')
    options = parser.parse_args()
    options.rounds = options.rounds or (5 if options.quick else 15)

    print(f'{machine()}; {probed(options.by_hand, options.threads)}', flush=True)
    listed = subprocess.run([options.by_hand, 'list'], check=True, capture_output=True, text=True).stdout
    rows = []
    for name, flops, parts in (line.split() for line in listed.splitlines()):
        if not options.only or name in options.only.split(','):
            print(name, '...', file=sys.stderr, flush=True)
            rows.append(Row(name, float(flops), int(parts), options))

    print('\nµs a step, or for one-element an operation; 1t, 2t: threads; limit: floating point operations at the rate '
          'of the fma\nprobe, one thread; libtorch [threads/BLAS threads, instructions, malloc that keeps memory]\n')
    print(table(['workload', 'eager 1t', 'eager 2t', 'replay 1t', 'replay 2t', 'by hand over BLAS',
                 'by hand in registers', 'limit', 'libtorch 1t', 'libtorch best', 'libtorch, malloc as it comes'],
                [row.times() for row in rows]))
    print('\nlibtorch over Ebb, each at its best; Ebb with one thread over the floor: by hand over BLAS, or else the '
          'limit; over what\nis written by hand in registers; and over Ebb with two threads\n')
    print(table(['workload', 'libtorch 1t / Ebb 1t', 'libtorch / Ebb', 'malloc as it comes', 'eager / floor',
                 'replay / floor', 'eager / in registers', 'replay / in registers', 'Ebb 1t / 2t'],
                [row.ratios() for row in rows]))
    print('\nfor each step, once steady; MB: the most private memory of the process beyond what it began with\n')
    print(table(['workload', 'way', 'allocations', 'page faults', 'locks', 'MB', 'says it held'],
                [usage for row in rows for usage in row.usages()]))
    apart = [row for row in rows if not agree(list(row.losses.values()))]
    for row in apart:
        print(f'\n{row.name}: THE LOSSES DISAGREE: {({key: losses[-1] for key, losses in row.losses.items()})}')
    return 1 if apart else 0


if __name__ == '__main__':
    sys.exit(main())
