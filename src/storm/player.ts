/** Runs a response script on a connection. */
import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '../core/clock.ts';
import type { ResponseScript, Step } from './response-script.ts';
import { resetSocket } from './reset-socket.ts';
import { nextTurn } from './system.ts';

/** Whether the script ran to its end or broke the connection. */
export type Played = 'sent' | 'broken';

/** Destination of the response: Node's HTTP, or the socket directly. */
interface Output {
  head(next: Step | undefined): void;
  /** False if the caller reads slowly; `drained` then runs its task once there is room. */
  write(bytes: string | Buffer): boolean;
  drained(task: () => void): void;
  end(bytes?: string | Buffer): void;
}

/**
 * Runs a response script. `done` is called once, or never if the caller disconnects first. Waits are measured from when
 * they were due, so that late timers do not slow a stream down.
 */
export function play(res: ServerResponse, script: ResponseScript, clock: Clock, done: (ending: Played) => void): void {
  const { steps } = script;
  const output = script.wire === undefined ? throughHttp(res, script) : pastHttp(res);
  let at = 0;
  let due = clock.now();
  let timer: Timer | undefined;
  res.once('close', () => timer?.cancel());

  /** Schedules `run` after `ms`; returns false if it is due now. */
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
      else if (at === steps.length) break; // The last bytes are sent together with the end.
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

function throughHttp(res: ServerResponse, script: ResponseScript): Output {
  return {
    head(next) {
      res.writeHead(script.status, script.headers);
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

/** Waits one event-loop turn first: Node buffers written chunks until then, and they must precede the FIN. */
function breakOff(res: ServerResponse, how: 'fin' | 'reset'): void {
  if (how === 'fin') nextTurn(() => res.socket?.destroySoon());
  else if (res.socket !== null) resetSocket(res.socket);
}
