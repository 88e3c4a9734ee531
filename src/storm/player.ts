/** Runs the program of an answer on a connection. */
import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '../core/clock.ts';
import type { Answer, Step } from './answer.ts';
import { resetSocket } from './reset-socket.ts';
import { nextTurn } from './system.ts';

/** How a call was played: to its end, or broken off by its own program. */
export type Played = 'sent' | 'broken';

/** Where the bytes of an answer go: through node's HTTP, or past it. */
interface Output {
  head(next: Step | undefined): void;
  /** False: the caller is slow, `drained` is called when it has room again. */
  write(bytes: string | Buffer): boolean;
  drained(task: () => void): void;
  end(bytes?: string | Buffer): void;
}

/**
 * Plays `answer`; `done` is called once, unless the caller leaves first: then nothing is called and the player stops.
 * Waits are counted from when they were due, so that a late timer does not slow a stream down.
 */
export function play(res: ServerResponse, answer: Answer, clock: Clock, done: (ending: Played) => void): void {
  const { steps } = answer;
  const output = answer.wire === undefined ? throughHttp(res, answer) : pastHttp(res);
  let at = 0;
  let due = clock.now();
  let timer: Timer | undefined;
  res.once('close', () => timer?.cancel());

  /** Goes on after `ms`; false when that is now. */
  function waits(ms: number): boolean {
    due += ms;
    const left = due - clock.now();
    if (left <= 0) return false;
    timer = clock.schedule(left, run);
    return true;
  }

  function repeat(step: Step & { do: 'repeat' }): void {
    if (!output.write(step.bytes)) {
      due = clock.now();
      output.drained(run);
    } else if (!waits(step.ms)) nextTurn(run);
  }

  function run(): void {
    for (let step = steps[at]; step !== undefined; step = steps[at]) {
      if (res.destroyed) return;
      if (step.do === 'repeat') {
        repeat(step);
        return;
      }
      at++;
      if (step.do === 'wait') {
        if (waits(step.ms)) return;
      } else if (step.do === 'turn') {
        nextTurn(run);
        return;
      } else if (step.do === 'hang') return;
      else if (step.do === 'fin' || step.do === 'reset') {
        done('broken');
        breakOff(res, step.do);
        return;
      } else if (step.do === 'inform') inform(res, step.status);
      else if (step.do === 'head') output.head(steps[at]);
      else if (at === steps.length) break; // the last bytes go out together with the end
      else if (!output.write(step.bytes)) {
        output.drained(run);
        return;
      }
    }
    if (res.destroyed) return;
    const last = steps.at(-1);
    done('sent');
    output.end(last?.do === 'send' ? last.bytes : undefined);
  }
  run();
}

function throughHttp(res: ServerResponse, answer: Answer): Output {
  return {
    head(next) {
      res.writeHead(answer.status, answer.headers);
      if (next?.do !== 'send') res.flushHeaders();
    },
    write: (bytes) => res.write(bytes),
    drained: (task) => res.once('drain', task),
    end: (bytes) => res.end(bytes),
  };
}

function pastHttp(res: ServerResponse): Output {
  const { socket } = res;
  return {
    head: () => undefined,
    write: (bytes) => socket?.write(bytes) ?? false,
    drained: (task) => socket?.once('drain', task),
    end(bytes) {
      if (bytes !== undefined) socket?.write(bytes);
      socket?.destroySoon();
    },
  };
}

function inform(res: ServerResponse, status: 100 | 103): void {
  if (status === 100) res.writeContinue();
  else res.writeEarlyHints({ link: '</storm.css>; rel=preload; as=style' });
}

/** A turn of the loop first: node holds written chunks back until then, and they must come before the FIN. */
function breakOff(res: ServerResponse, how: 'fin' | 'reset'): void {
  if (how === 'fin') nextTurn(() => res.socket?.destroySoon());
  else if (res.socket !== null) resetSocket(res.socket);
}
