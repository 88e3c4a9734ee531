/** The policy blocks, with all defaults. They may be set globally, for a provider and for a model. */
import * as z from 'zod';
import type { QualityCheck } from '../../core/quality.ts';
import { amount, block, count, duration, durationOr, durationOrQuantile, flag, ratio, setting, size, text, word } from './fields.ts';

const timeouts = block('Timeouts', 'Timeouts for each phase of one attempt.', {
  connect: setting(duration('1ms', '5m'), '3s', 'The longest time until the connection to the provider is open, including TLS.'),
  headers: setting(
    durationOr('auto', '1ms', '1h'),
    'auto',
    'The longest time until the status line of the response arrives. auto: 60s for streams, 5m for non-streaming calls; 5m and 10m for known reasoning models and self-hosted servers.',
  ),
  firstContent: setting(
    durationOr('auto', '1ms', '1h'),
    'auto',
    'The longest time until the first content of a stream. auto: 60s; 5m for known reasoning models and self-hosted servers.',
  ),
  idle: setting(duration('1ms', '1h'), '2m', 'The longest gap between two content chunks of a stream.'),
  attempt: setting(duration('1ms', '1d'), '10m', 'The longest time for one attempt, until its response starts to reach the caller.'),
});

const retry = block('Retry', 'When and how often the same target is retried.', {
  baseDelay: setting(duration('1ms', '1h'), '250ms', 'The upper bound of the first delay; it doubles with each retry (full jitter).'),
  maxDelay: setting(duration('1ms', '1h'), '8s', 'The largest upper bound of a delay.'),
  maxRetryAfter: setting(
    duration('0ms', '1d'),
    '60s',
    'The longest Retry-After to wait for; beyond it another target is used, or the error is returned.',
  ),
  budget: block('RetryBudget', 'The retries of a target over all requests, limited so that retries do not amplify an outage.', {
    ratio: setting(ratio(), 0.2, 'The most retries of a target, as a share of its requests, from 0 to 1.'),
    minPerSecond: setting(amount(0, 1000), 1, 'Retries per second that are always allowed.'),
  }),
});

const breaker = block('Breaker', 'When requests to a failing target stop, and for how long.', {
  window: setting(duration('1s', '1h'), '30s', 'The time window in which failures are counted.'),
  failureRatio: setting(ratio(0.01, 1), 0.5, 'The share of failures in the window that opens the breaker, from 0.01 to 1.'),
  minRequests: setting(count(1, 100_000), 10, 'The minimum number of requests in the window for the ratio to apply.'),
  consecutiveFailures: setting(count(1, 100_000), 5, 'Failures in a row that open the breaker.'),
  openFor: setting(duration('1ms', '1d'), '5s', 'The initial open time; it grows with each opening (jittered).'),
  maxOpenFor: setting(duration('1ms', '1d'), '5m', 'The longest open time.'),
  probes: setting(count(1, 100), 1, 'Concurrent trial requests while the breaker is half-open.'),
});

const hedge = block('Hedge', 'A second attempt in parallel with a slow first one.', {
  enabled: setting(flag<never>(), false, 'Whether slow attempts are hedged.'),
  delay: setting(
    durationOrQuantile('1ms', '1h'),
    'p95',
    'When the second attempt starts: a duration, or a quantile of the observed latency of the target (p50 to p99).',
  ),
  budget: setting(ratio(), 0.05, 'The most hedges, as a share of requests, from 0 to 1.'),
});

const queue = block('Queue', 'Queueing of requests that wait for capacity.', {
  maxSize: setting(count(0, 10_000_000), 10_000, 'Requests that may wait at once; beyond it: queue_full.'),
  maxWait: setting(durationOr('none'), 'none', 'The longest wait. none: limited by the deadline only.'),
  minShare: block('MinShare', 'The minimum share of starts for waiting requests of a lower priority.', {
    low: setting(ratio(0, 0.9), 0.05, 'The minimum share of priority low, from 0 to 0.9.'),
    normal: setting(ratio(0, 0.9), 0.2, 'The minimum share of priority normal, from 0 to 0.9.'),
  }),
});

const stream = block('Stream', 'Streaming responses.', {
  keepAlive: setting(
    duration('1s', '1h'),
    '25s',
    'After this long without content a comment line is sent, so that load balancers keep the connection open.',
  ),
  maxEventSize: setting(size('1kb', '1gb'), '16mb', 'The largest single event; beyond it the attempt fails.'),
  recover: setting(word('off', 'continue'), 'off', 'continue: an interrupted text stream is resumed on a target that supports it.'),
});

/** Quality patterns are compiled with this flag wherever they are used. */
export const patternFlags = 'u';

const pattern = z.string({ error: 'must be a regular expression' }).superRefine((source, context) => {
  try {
    RegExp(source, patternFlags);
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split(': ').at(-1) ?? '') : '';
    context.addIssue({ code: 'custom', message: `is not a regular expression: ${reason}`, input: source });
  }
});
const patterns = z.array(pattern, { error: 'must be a list of regular expressions' }).max(100, { error: 'must have at most 100 items' });

const ownCheck = 'must be the path of a module, a model and an instruction, or (in the library) a function';
const judgeModel = z
  .strictObject({
    model: text().meta({ description: 'The judge model, by the name that a caller would request.', examples: ['openai/gpt-4o-mini'] }),
    instruction: text()
      .max(10_000, { error: 'must have at most 10000 characters' })
      .meta({
        description: 'Instructions for the judge: what makes a response acceptable.',
        examples: ['Accept only a summary of at most three sentences.'],
      }),
  })
  .meta({ id: 'Judge', description: 'Another model that judges whether a response is acceptable.' });
/** A custom check of a response. */
const check = z.union(
  [
    judgeModel,
    text().meta({ description: 'The path of a module whose default export is the check, relative to the folder of the config.' }),
    z.custom<QualityCheck | null>((value) => value === null || typeof value === 'function', { error: ownCheck }),
  ],
  { error: ownCheck },
);

const quality = block(
  'Quality',
  'Requirements for a response before it is sent to the caller; if they are not met, the next target is tried.',
  {
    rejectEmpty: setting(flag<never>(), true, 'Reject a response without content.'),
    rejectTruncated: setting(flag<never>(), false, 'Reject a response that ended at its length limit.'),
    rejectRefusal: setting(flag<never>(), false, 'Reject a refusal.'),
    rejectRepetition: setting(flag<never>(), true, 'Reject degenerate repetition in a response that ended at its length limit.'),
    jsonSchema: setting(flag<never>(), true, "Reject JSON that does not match the request's schema."),
    minLength: setting(count(0, 1_000_000), 0, 'The minimum number of characters.', 20),
    mustMatch: setting(patterns, [], 'Regular expressions that must all match (flag u; at most 100).', ['^[A-Z]']),
    mustNotMatch: setting(patterns, [], 'Regular expressions of which none may match (flag u; at most 100).', ['As an AI']),
    buffer: setting(flag<never>(), false, 'Buffer streams completely, so that they are checked like non-streaming responses.'),
    check: setting(check, null, 'A custom check: a module, a model that judges, or (in the library) a function.', './check.mjs'),
    checkTimeout: setting(duration('1ms', '10m'), '30s', 'Timeout of the custom check; a late result is ignored.'),
  },
);

const cache = block('Cache', 'The response cache.', {
  enabled: setting(flag<never>(), false, 'Whether responses are cached.'),
  ttl: setting(duration('1ms', '365d'), '1h', 'How long a cached response is fresh.'),
  staleIfError: setting(duration('0ms', '365d'), '24h', 'How long a stale response may be used when every target fails.'),
  coalesce: setting(flag<never>(), true, 'Identical requests in flight share one response (if the cache is enabled).'),
});

/** `client`: the client's priority; `lower`: one level below it. */
export const AGENT_PRIORITIES = ['client', 'lower', 'high', 'normal', 'low'] as const;
const agentPriority = () => word(...AGENT_PRIORITIES);

const agents = block(
  'Agents',
  "The priority of each part of an agent run, if the agent identifies it; never above the client's maxPriority.",
  {
    main: setting(agentPriority(), 'client', "The main loop. client: the client's priority; lower: one level below it."),
    compaction: setting(agentPriority(), 'client', 'Summarization of a conversation that is too long; the main loop waits for it.'),
    subagent: setting(agentPriority(), 'lower', 'An agent started by another agent.'),
    workflow: setting(agentPriority(), 'lower', 'A step of a scripted workflow.'),
    auxiliary: setting(agentPriority(), 'low', 'Titles, summaries for display, and other side tasks.'),
  },
);

/** All policy settings. `schema` accepts any subset; `defaults` is the complete default policy. */
export const policySettings = block('Policy', 'How requests are processed.', {
  deadline: setting(
    duration('1ms', '7d'),
    '10m',
    'The time within which a response must start to reach the caller, the queue included, unless the request sets its own.',
  ),
  maxDeadline: setting(duration('1ms', '7d'), '1h', 'The latest deadline that a caller may request.'),
  maxAttempts: setting(count(1, 100), 4, 'The maximum number of upstream calls for one request, over all targets.'),
  conversion: setting(
    word('drop', 'strict'),
    'drop',
    'Request fields that the protocol of a target does not support. drop: they are removed and listed in x-breakwater-dropped; strict: the target is not used.',
  ),
  timeouts,
  retry,
  breaker,
  hedge,
  queue,
  stream,
  quality,
  cache,
  agents,
});

/** A partial policy: the overrides of a provider or model. Durations in ms, sizes in bytes. */
export type PolicyOverrides = z.output<typeof policySettings.schema>;

/** A complete policy. Durations in ms (or the words `auto`, `none`, a quantile), sizes in bytes. */
export type Policy = typeof policySettings.defaults;
