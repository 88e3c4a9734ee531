/** Derives the behaviour of targets from a request log: latency, response length and failure rate. */
import type { AttemptRecord } from '../../telemetry/request-log.ts';
import type { ModelBehaviour } from '../../testing/simulated-provider.ts';
import type { RecordLine } from './record-line.ts';

/** Maximum samples per target, and maximum targets. */
const SAMPLES_MAX = 20_000;
const TARGETS_MAX = 1_000;
/** A non-streaming response has only a total time; this share of it counts as time to first token. */
const PLAIN_FIRST_SHARE = 0.2;

interface Seen {
  readonly firstMs: number[];
  readonly plainFirstMs: number[];
  readonly pace: number[];
  readonly plainPace: number[];
  readonly lengths: number[];
  attempts: number;
  failures: number;
}

/** Collects the attempts of a log. */
export class RecordedTargets {
  readonly #seen = new Map<string, Seen>();

  take(line: RecordLine): void {
    for (const attempt of line.attempts ?? []) {
      let seen = this.#seen.get(attempt.target);
      if (seen === undefined) {
        if (this.#seen.size === TARGETS_MAX) continue;
        seen = { firstMs: [], plainFirstMs: [], pace: [], plainPace: [], lengths: [], attempts: 0, failures: 0 };
        this.#seen.set(attempt.target, seen);
      }
      takeAttempt(seen, attempt, line);
    }
  }

  /** By target, `provider/model`. */
  get behaviours(): ReadonlyMap<string, ModelBehaviour> {
    return new Map([...this.#seen].map(([target, seen]) => [target, toBehaviour(seen)]));
  }
}

function takeAttempt(of: Seen, attempt: AttemptRecord, { stream = false, operation }: RecordLine): void {
  // Rate limits are simulated, and cancelled or rejected attempts are not the target's fault.
  if (attempt.status === 429 || attempt.verdict === 'cancelled' || attempt.verdict === 'reject') return;
  of.attempts++;
  if (attempt.verdict !== 'success') return void of.failures++;
  if (of.firstMs.length + of.plainFirstMs.length >= SAMPLES_MAX) return;
  const { durationMs, firstContentMs, usage } = attempt;
  const tokens = usage?.outputTokens ?? 0;
  const share = operation === 'embeddings' ? 1 : PLAIN_FIRST_SHARE;
  const firstMs = stream && firstContentMs != null ? firstContentMs : durationMs * share;
  (stream ? of.firstMs : of.plainFirstMs).push(firstMs);
  if (tokens <= 0) return;
  of.lengths.push(tokens);
  if (durationMs > firstMs) (stream ? of.pace : of.plainPace).push((tokens * 1000) / (durationMs - firstMs));
}

/** If only streaming or only non-streaming calls were recorded, the other form is assumed to behave the same. */
function toBehaviour({ firstMs, plainFirstMs, pace, plainPace, lengths, attempts, failures }: Seen): ModelBehaviour {
  const isPlainOnly = firstMs.length === 0;
  return {
    ...latencyOf(isPlainOnly ? plainFirstMs : firstMs, isPlainOnly ? plainPace : pace),
    ...(isPlainOnly || plainFirstMs.length === 0 ? {} : { plain: latencyOf(plainFirstMs, plainPace) }),
    ...(lengths.length === 0 ? {} : { outputTokens: { samples: lengths } }),
    faults: failures === 0 ? [] : [{ kind: 'server_error', probability: failures / attempts }],
  };
}

function latencyOf(firstMs: readonly number[], pace: readonly number[]): Pick<ModelBehaviour, 'firstTokenMs' | 'tokensPerSecond'> {
  return {
    ...(firstMs.length === 0 ? {} : { firstTokenMs: { samples: firstMs } }),
    ...(pace.length === 0 ? {} : { tokensPerSecond: { samples: pace } }),
  };
}
