/** Sends responses and closes each call's accounting exactly once, however the call ends. */
import type { ServerResponse } from 'node:http';
import type { Clock } from '../core/clock.ts';
import { toBodyScript, toPackets } from './response-script.ts';
import type { ResponseScript } from './response-script.ts';
import type { Dialect, Failure } from './dialect.ts';
import type { Account } from './limits.ts';
import type { ErrorShape } from './failure-reasons.ts';
import type { StormOptions } from './options.ts';
import { play } from './player.ts';
import type { CallRecord, Ending, Tally } from './stats.ts';
import { toWireSteps } from './wire.ts';

/** A call in progress. */
export interface Call {
  dialect: Dialect;
  record: CallRecord;
  res: ServerResponse;
  /** Account whose limits the response headers report. */
  account?: Account;
  /** Whether the limits admitted the call; its concurrency slot is then released when it ends. */
  admitted?: boolean;
  /** Error shape of failures that set none. */
  errorShape?: ErrorShape;
  /** Called once after the response has been sent in full. */
  sent?: () => void;
}

export interface Delivery {
  send(call: Call, script: ResponseScript): void;
  fail(call: Call, failure: Failure): void;
}

/** Creates the delivery. `isDown` distinguishes connections that Storm closed from those that callers closed. */
export function createDelivery(options: StormOptions, tally: Tally, clock: Clock, isDown: () => boolean): Delivery {
  const { limits, timing, seed = 1 } = options;
  const perPacket = timing?.eventsPerPacket ?? Infinity;

  function addHeaders({ record, dialect, account }: Call, { headers }: ResponseScript): void {
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

  function send(call: Call, script: ResponseScript): void {
    const { res, record } = call;
    addHeaders(call, script);
    let open = true;
    const close = (ending: Ending) => {
      open = false;
      if (call.admitted === true) call.account?.release(clock.now(), record.outputTokens);
      if (ending === 'sent') call.sent?.();
      tally.end(record, ending, res.headersSent || ending === 'sent' || script.wire !== undefined ? script.status : undefined);
    };
    res.once('close', () => {
      if (open) close(isDown() ? 'broken' : 'aborted');
      else if (record.ending === 'sent' && script.wire === undefined && !res.writableFinished && !isDown()) tally.correctToAborted(record);
    });
    const steps = script.wire === undefined ? toPackets(script.steps, perPacket) : toWireSteps(script, script.wire);
    play(res, { ...script, steps }, clock, close);
  }

  return {
    send,
    fail(call, failure) {
      const shaped = call.errorShape === undefined ? failure : { shape: call.errorShape, ...failure };
      const { status, contentType, body, headers } = call.dialect.failure(shaped);
      const script = toBodyScript(status, contentType, body);
      Object.assign(script.headers, headers, failure.headers);
      send(call, script);
    },
  };
}
