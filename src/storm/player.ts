/** Runs the program of an answer on a connection. */
import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '../core/clock.ts';
import type { Answer, Step } from './answer.ts';
import { nextTurn } from './system.ts';

/**
 * Plays `answer`; `done` is called once, unless the caller leaves first: then nothing is called and the player stops.
 * Waits are counted from when they were due, so that a late timer does not slow a stream down.
 */
export function play(res: ServerResponse, answer: Answer, clock: Clock, done: (ending: 'sent' | 'broken') => void): void {
  const { steps } = answer;
  let at = 0;
  let due = clock.now();
  let timer: Timer | undefined;
  res.once('close', () => timer?.cancel());

  function run(): void {
    for (let step = steps[at]; step !== undefined; step = steps[at]) {
      if (res.destroyed) return;
      at++;
      if (step.do === 'wait') {
        due += step.ms;
        const left = due - clock.now();
        if (left <= 0) continue;
        timer = clock.schedule(left, run);
        return;
      }
      if (step.do === 'turn') {
        nextTurn(run);
        return;
      }
      if (step.do === 'hang') return;
      if (step.do === 'fin' || step.do === 'reset') {
        done('broken');
        breakOff(res, step.do);
        return;
      }
      if (step.do === 'head') writeHead(res, answer, steps[at]);
      else if (at === steps.length) break; // the last bytes go out together with the end
      else if (!res.write(step.bytes)) {
        res.once('drain', run);
        return;
      }
    }
    if (res.destroyed) return;
    const last = steps.at(-1);
    done('sent');
    res.end(last?.do === 'send' ? last.bytes : undefined);
  }
  run();
}

function writeHead(res: ServerResponse, answer: Answer, next: Step | undefined): void {
  res.writeHead(answer.status, answer.headers);
  if (next?.do !== 'send') res.flushHeaders();
}

/** A turn of the loop first: node holds written chunks back until then, and they must come before the FIN. */
function breakOff(res: ServerResponse, how: 'fin' | 'reset'): void {
  if (how === 'reset') res.socket?.resetAndDestroy();
  else nextTurn(() => res.socket?.destroySoon());
}
