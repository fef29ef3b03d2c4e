"""Processes that take turns: A B A B ..., so that what else the machine does meets all alike."""
import os
import signal
import statistics
import subprocess
import sys


class Runner:
    """A process that takes steps of one workload when it is told to (see served.h), and stands still otherwise."""

    def __init__(self, command, threads, **settings):
        environment = dict(os.environ)
        environment.update({name: str(value) for name, value in settings.items()})
        self.command, self.settings = ' '.join(command), settings
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.threads = threads
        self.wall, self.of_thread, self.usage = [], [], ()

    def ask(self, question):
        os.kill(self.process.pid, signal.SIGCONT)
        try:
            print(question, file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline().split()
        except BrokenPipeError:
            answer = []
        if not answer:
            sys.exit(f'{self.command}: {self.process.stderr.read().strip()}')
        os.kill(self.process.pid, signal.SIGSTOP)  # threads that spin for a while after their work disturb nobody
        return [float(number) for number in answer]

    def turn(self, steps):
        wall, of_thread, *self.usage = self.ask(f'run {steps}')
        self.wall.append(wall)
        self.of_thread.append(of_thread)
        return wall

    def close(self):
        os.kill(self.process.pid, signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()

    @property
    def seconds(self):
        """One thread waits for nobody: its time is what it had of the processor, whatever else ran on the machine."""
        return self.of_thread if self.threads == 1 else self.wall

    @property
    def median(self):
        return statistics.median(self.seconds)


def take_turns(runners, rounds, seconds, drop=None):
    """Gives each of the runners so many turns of about that many seconds.  Those that are `drop` times slower than the
    fastest sit the later rounds out."""
    steps = {}
    for runner in runners:
        steps[runner] = 1
        while runner.turn(steps[runner]) * steps[runner] < seconds / 2:
            steps[runner] *= 4
        runner.wall.clear()
        runner.of_thread.clear()
    for _ in range(rounds):
        for runner in runners:
            runner.turn(steps[runner])
        if drop:
            slowest = drop * min(min(runner.wall) for runner in runners)
            runners = [runner for runner in runners if min(runner.wall) <= slowest]


def ratio(a, b):
    """The median over rounds of a's time over b's, by the clock unless both have one thread."""
    if a.threads == b.threads == 1:
        pairs = zip(a.of_thread, b.of_thread)
    else:
        pairs = zip(a.wall, b.wall)
    return statistics.median(x / y for x, y in pairs)


def table(head, rows):
    """A table in Markdown, its columns aligned."""
    rows = [head, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    rows.insert(1, ['-' * width for width in widths])
    return '\n'.join('| ' + ' | '.join(cell.ljust(width) for cell, width in zip(row, widths)) + ' |' for row in rows)


def machine():
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as info:
            names = [line.split(':', 1)[1].strip() for line in info if line.startswith('model name')]
    except OSError:
        names = []
    return f'{names[0] if names else "unknown processor"}, {os.cpu_count()} cores'
