/** The policy blocks. They may stand globally, in a provider and in a model; every default of the project is here. */
import * as z from 'zod';
import type { QualityCheck } from '../../core/quality.ts';
import { amount, block, count, duration, durationOr, durationOrQuantile, flag, ratio, setting, size, text, word } from './fields.ts';

const timeouts = block('Timeouts', 'How long each part of one attempt may take.', {
  connect: setting(duration('1ms', '5m'), '3s', 'Until the connection to the provider is open, TLS included.'),
  headers: setting(
    durationOr('auto', '1ms', '1h'),
    'auto',
    'Until the status line arrives. auto: 60s for streams, 5m for plain calls; 5m and 10m where the model is known to think or the server is your own.',
  ),
  firstContent: setting(
    durationOr('auto', '1ms', '1h'),
    'auto',
    'Until the first content of a stream. auto: 60s, and 5m where the model is known to think or the server is your own.',
  ),
  idle: setting(duration('1ms', '1h'), '2m', 'The longest gap between two pieces of content in a stream.'),
  attempt: setting(duration('1ms', '1d'), '10m', 'One whole attempt, until it is committed.'),
});

const retry = block('Retry', 'When and how often the same target is asked again.', {
  baseDelay: setting(duration('1ms', '1h'), '250ms', 'The bound of the first delay; it doubles with each repeat (full jitter).'),
  maxDelay: setting(duration('1ms', '1h'), '8s', 'The bound that delays do not grow beyond.'),
  maxRetryAfter: setting(
    duration('0ms', '1d'),
    '60s',
    'The longest Retry-After that is waited for; beyond it: another target, or the caller is told.',
  ),
  budget: block('RetryBudget', 'How much a target may be repeated over all requests, so that an outage is never amplified.', {
    ratio: setting(ratio(), 0.2, 'Repeats per request, from 0 to 1.'),
    minPerSecond: setting(amount(0, 1000), 1, 'Repeats per second that are always allowed.'),
  }),
});

const breaker = block('Breaker', 'When a target that fails is left alone, and for how long.', {
  window: setting(duration('1s', '1h'), '30s', 'How far back failures are counted.'),
  failureRatio: setting(ratio(0.01, 1), 0.5, 'The share of failures in the window that opens the breaker, from 0.01 to 1.'),
  minRequests: setting(count(1, 100_000), 10, 'The fewest requests in the window for the ratio to count.'),
  consecutiveFailures: setting(count(1, 100_000), 5, 'Failures in a row that open the breaker.'),
  openFor: setting(duration('1ms', '1d'), '5s', 'The first open time; it grows with each opening (jittered).'),
  maxOpenFor: setting(duration('1ms', '1d'), '5m', 'The longest open time.'),
  probes: setting(count(1, 100), 1, 'Requests let through at once while half-open.'),
});

const hedge = block('Hedge', 'A second attempt beside a slow first one.', {
  enabled: setting(flag<never>(), false, 'Whether slow attempts are hedged.'),
  delay: setting(
    durationOrQuantile('1ms', '1h'),
    'p95',
    'When the second attempt starts: a duration, or a quantile of the latency learned for the target (p50 to p99).',
  ),
  budget: setting(ratio(), 0.05, 'Hedges per request, from 0 to 1.'),
});

const queue = block('Queue', 'The wait for capacity.', {
  maxSize: setting(count(0, 10_000_000), 10_000, 'Requests that may wait at once; beyond it: queue_full.'),
  maxWait: setting(durationOr('none'), 'none', 'The longest wait. none: the deadline bounds the wait.'),
  minShare: block('MinShare', 'The share of starts that a waiting lower class keeps.', {
    low: setting(ratio(0, 0.9), 0.05, 'For priority low, from 0 to 0.9.'),
    normal: setting(ratio(0, 0.9), 0.2, 'For priority normal, from 0 to 0.9.'),
  }),
});

const stream = block('Stream', 'Streamed answers.', {
  keepAlive: setting(
    duration('1s', '1h'),
    '25s',
    'After this long without content a comment line is sent, so that no load balancer hangs up.',
  ),
  maxEventSize: setting(size('1kb', '1gb'), '16mb', 'The largest single event; beyond it the attempt fails.'),
  recover: setting(word('off', 'continue'), 'off', 'continue: a broken text stream is resumed on a target that can.'),
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
    model: text().meta({ description: 'The model that judges, as a caller would ask for it.' }),
    instruction: text()
      .max(10_000, { error: 'must have at most 10000 characters' })
      .meta({ description: 'What makes an answer good, in words for the judge.' }),
  })
  .meta({ id: 'Judge', description: 'Another model that is asked whether an answer is good enough.' });
/** An operator's own check of an answer. */
const check = z.union(
  [
    judgeModel,
    text().meta({ description: 'The path of a module whose default export is the check; relative to the config.' }),
    z.custom<QualityCheck | null>((value) => value === null || typeof value === 'function', { error: ownCheck }),
  ],
  { error: ownCheck },
);

const quality = block('Quality', 'What an answer must be before it is sent on; else the next target is asked.', {
  rejectEmpty: setting(flag<never>(), true, 'Reject an answer without content.'),
  rejectTruncated: setting(flag<never>(), false, 'Reject an answer that ended at its length limit.'),
  rejectRefusal: setting(flag<never>(), false, 'Reject a refusal.'),
  rejectRepetition: setting(flag<never>(), true, 'Reject degenerate repetition in an answer that ended at its length limit.'),
  jsonSchema: setting(flag<never>(), true, "Reject JSON that does not fit the request's schema."),
  minLength: setting(count(0, 1_000_000), 0, 'The fewest characters.'),
  mustMatch: setting(patterns, [], 'Regular expressions that must all match (flag u; at most 100).'),
  mustNotMatch: setting(patterns, [], 'Regular expressions of which none may match (flag u; at most 100).'),
  buffer: setting(flag<never>(), false, 'Hold streams back whole, so that they are judged like plain answers.'),
  check: setting(check, null, 'A check of your own.'),
  checkTimeout: setting(duration('1ms', '10m'), '30s', 'How long the check may take; a late one says nothing.'),
});

const cache = block('Cache', 'Answers used again.', {
  enabled: setting(flag<never>(), false, 'Whether answers are kept.'),
  ttl: setting(duration('1ms', '365d'), '1h', 'How long an answer is fresh.'),
  staleIfError: setting(duration('0ms', '365d'), '24h', 'How long a stale answer may stand in when every target fails.'),
  coalesce: setting(flag<never>(), true, 'Identical requests in flight share one answer (where the cache is enabled).'),
});

/** `client`: the client's own; `lower`: one below it. */
export const AGENT_PRIORITIES = ['client', 'lower', 'high', 'normal', 'low'] as const;
const agentPriority = () => word(...AGENT_PRIORITIES);

const agents = block(
  'Agents',
  "The priority of each part of an agent's run, where the agent names it; never above the client's maxPriority.",
  {
    main: setting(agentPriority(), 'client', "The main loop. client: the client's own priority; lower: one below it."),
    compaction: setting(agentPriority(), 'client', 'The summary of a conversation that grew too long; the main loop waits for it.'),
    subagent: setting(agentPriority(), 'lower', 'An agent that another one started.'),
    workflow: setting(agentPriority(), 'lower', 'A step of a scripted run.'),
    auxiliary: setting(agentPriority(), 'low', 'Titles, summaries for display, and other side tasks.'),
  },
);

/** All policy settings. `schema` takes any part of them, `defaults` is the complete policy of a config that says nothing. */
export const policySettings = block('Policy', 'How requests are carried out.', {
  deadline: setting(duration('1ms', '7d'), '10m', 'Until an answer is committed, queueing included.'),
  maxDeadline: setting(duration('1ms', '7d'), '1h', 'The most that a caller may ask for.'),
  maxAttempts: setting(count(1, 100), 4, 'Upstream calls for one request, over all targets.'),
  conversion: setting(
    word('drop', 'strict'),
    'drop',
    'Fields of a request that a target of another protocol has no place for. drop: they are left out and named in x-breakwater-dropped; strict: the target is not asked.',
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

/** Any part of a policy, as a provider or a model overrides it. Durations in ms, sizes in bytes. */
export type PolicyOverrides = z.output<typeof policySettings.schema>;

/** A complete policy. Durations in ms (or the words `auto`, `none`, a quantile), sizes in bytes. */
export type Policy = typeof policySettings.defaults;
