/** Takes the response to a request from another instance that makes it already. */
import type { Flights, Following, ForeignClaim } from '../../cluster/flights.ts';
import { BreakwaterError, type BreakwaterErrorOptions, type ErrorCode } from '../../core/errors.ts';
import type { PlacedPart } from '../../store/flight-store.ts';
import type { UpstreamRefusal } from '../delivery/downstream.ts';
import type { HeaderPairs } from '../../core/headers.ts';
import { LifeCheck } from './life-check.ts';
import { decodeCached } from './cached-bytes.ts';
import type { ReaderParts, ResponseReader } from './response-reader.ts';
import type { SharedResponse } from './shared-response.ts';

/**
 * True: the request has its response, or no reader is left; false: nothing came, and the response has to be made here. An instance that goes
 * away after the beginning of its response leaves a stream that breaks off.
 */
export function followElsewhere(
  { clock, running }: Pick<ReaderParts, 'clock' | 'running'>,
  flights: Pick<Flights, 'follow'>,
  response: SharedResponse,
  reader: ResponseReader,
  { id }: Pick<ForeignClaim, 'id'>,
  isKeyed: boolean,
): Promise<boolean> {
  return new Promise((resolve) => {
    let isTaken = false;
    let isOver = false;
    running.add(reader);
    /** From here on the readers are served by the other instance. */
    const take = (): void => {
      if (isTaken) return;
      isTaken = true;
      running.remove(reader);
      response.emitFirst();
      if (!reader.isOver) reader.note('shares the response that another instance makes to an identical request');
    };
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      response.onLeave = null;
      lifeCheck.settle(false);
      take();
      resolve(true);
    };
    const urgency = { priority: reader.request.priority, remainingMs: Math.max(0, reader.deadline - clock.now()), isKeyed };
    const following: Following = flights.follow(id, urgency, {
      part(part) {
        if (part.kind === 'hello') return 'more';
        take();
        const next = deliver(response, part);
        if (next === 'end') end();
        if (next === 'pause') response.onDrain(() => following.resume());
        return next;
      },
      alive: () => lifeCheck.settle(true),
      silent() {
        // Further requests do not join it.
        if (isTaken) response.discard();
      },
      gone() {
        if (isTaken || response.hasLeft) {
          if (!response.isOver) response.fail(new BreakwaterError('stream_interrupted', GONE));
          return end();
        }
        if (isOver) return;
        isOver = true;
        running.remove(reader);
        response.isFollowing = false;
        lifeCheck.settle(false);
        response.onLeave = null;
        resolve(false);
      },
    });
    const lifeCheck = new LifeCheck(clock, () => following.check());
    response.lifeCheck = lifeCheck;
    response.onLeave = () => {
      following.stop();
      end();
    };
    response.beginFollowing();
  });
}

const GONE = 'another instance makes this response, and the rest of it can not be read from there';

function deliver(response: SharedResponse, { kind, meta, bytes }: PlacedPart): 'more' | 'pause' | 'end' {
  switch (kind) {
    case 'head': {
      const { status, headers, isEventStream } = JSON.parse(meta) as { status: number; headers: HeaderPairs; isEventStream: boolean };
      response.commit(status, headers, isEventStream);
      return 'more';
    }
    case 'chunk':
      return response.write([bytes]) ? 'more' : 'pause';
    case 'end':
      response.discard();
      response.end(null, true);
      return 'end';
    case 'whole': {
      const whole = decodeCached(bytes)?.whole;
      response.discard();
      if (whole === undefined) response.fail(new BreakwaterError('stream_interrupted', GONE));
      else response.deliver(whole);
      return 'end';
    }
    case 'refuse': {
      const refusal = JSON.parse(meta) as Omit<UpstreamRefusal, 'body'>;
      response.discard();
      response.refuse({ ...refusal, body: bytes });
      return 'end';
    }
    default: {
      const { code, message, status, param, retryAfterMs } = JSON.parse(meta) as { code: ErrorCode; message: string; param: string | null } & Pick<BreakwaterErrorOptions, 'status' | 'retryAfterMs'>; // prettier-ignore
      response.fail(
        new BreakwaterError(code, message, { status, retryAfterMs, ...(param !== null && { param }) } as BreakwaterErrorOptions),
      );
      return 'end';
    }
  }
}
