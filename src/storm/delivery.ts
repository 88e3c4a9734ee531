/** The end of every call: its answer is sent, and its books are closed exactly once, whoever ends it. */
import type { ServerResponse } from 'node:http';
import type { Clock } from '../core/clock.ts';
import { toBodyAnswer, toPackets } from './answer.ts';
import type { Answer } from './answer.ts';
import type { Dialect, Failure } from './dialect.ts';
import type { Account } from './limits.ts';
import type { ErrorShape } from './failure-words.ts';
import type { StormOptions } from './options.ts';
import { play } from './player.ts';
import type { CallRecord, Ending, Tally } from './stats.ts';
import { toWireSteps } from './wire.ts';

/** A call on its way. */
export interface Call {
  dialect: Dialect;
  record: CallRecord;
  res: ServerResponse;
  /** Whose limits the answer shows. */
  account?: Account;
  /** True when the limits let it through: then the account gets its place back. */
  admitted?: boolean;
  /** How a failure is written that has no shape of its own. */
  errorShape?: ErrorShape;
  /** Called once when the answer was sent to its end. */
  sent?: () => void;
}

export interface Delivery {
  send(call: Call, answer: Answer): void;
  fail(call: Call, failure: Failure): void;
}

/** Makes the delivery. `isDown` tells a connection that Storm broke from one that its caller left. */
export function createDelivery(options: StormOptions, tally: Tally, clock: Clock, isDown: () => boolean): Delivery {
  const { limits, timing, seed = 1 } = options;
  const perPacket = timing?.eventsPerPacket ?? Infinity;

  function addHeaders({ record, dialect, account }: Call, { headers }: Answer): void {
    if (dialect.requestIdHeader !== undefined) headers[dialect.requestIdHeader] = `req_storm${seed}_${record.call}`;
    if (account === undefined || limits?.advertise === false) return;
    const now = clock.now();
    Object.assign(
      headers,
      dialect.limitHeaders({
        requests: account.requests(now),
        tokens: account.tokens(now),
        input: account.input(now),
        output: account.output(now),
      }),
    );
  }

  function send(call: Call, answer: Answer): void {
    const { res, record } = call;
    addHeaders(call, answer);
    let open = true;
    const close = (ending: Ending) => {
      open = false;
      if (call.admitted === true) call.account?.release(clock.now(), record.outputTokens);
      if (ending === 'sent') call.sent?.();
      tally.end(record, ending, res.headersSent || ending === 'sent' || answer.wire !== undefined ? answer.status : undefined);
    };
    res.once('close', () => {
      if (open) close(isDown() ? 'broken' : 'aborted');
      else if (record.ending === 'sent' && answer.wire === undefined && !res.writableFinished && !isDown()) tally.leftAfterAll(record);
    });
    const steps = answer.wire === undefined ? toPackets(answer.steps, perPacket) : toWireSteps(answer, answer.wire);
    play(res, { ...answer, steps }, clock, close);
  }

  return {
    send,
    fail(call, failure) {
      const shaped = call.errorShape === undefined ? failure : { shape: call.errorShape, ...failure };
      const { status, contentType, body, headers } = call.dialect.failure(shaped);
      const answer = toBodyAnswer(status, contentType, body);
      Object.assign(answer.headers, headers, failure.headers);
      send(call, answer);
    },
  };
}
