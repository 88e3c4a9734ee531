/** Summarizes a report in a few sentences: which requests wait, for what, and which fail. */
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import { share, time } from './figures-text.ts';
import type { PriorityFigures, ScenarioFigures } from './scenario.ts';

/** Minimum p95 wait that is mentioned, in milliseconds. */
const WAIT_MS_MIN = 1_000;
const SUCCESS_MIN = 0.99;

/** One sentence per noteworthy result of the scenario. */
export function verdictOf(figures: ScenarioFigures): string[] {
  const sentences = SCHEDULING_CLASSES.flatMap((priority) => {
    const of = figures.byPriority[priority];
    return of.requests === 0 ? [] : [...waitSentence(priority, of), ...lossSentence(priority, of)];
  });
  sentences.push(...rejectedSentence(figures));
  const prefix = figures.without === null ? '' : `without ${figures.without}: `;
  if (sentences.length === 0) sentences.push('all requests are served, with p95 waits under one second');
  return sentences.map((sentence) => `${prefix}${sentence}`);
}

/** Requests refused before they had a priority, for example for an unknown model. */
function rejectedSentence({ requests, byPriority, errors }: ScenarioFigures): string[] {
  const known = SCHEDULING_CLASSES.map((priority) => byPriority[priority]);
  const rejected = requests - known.reduce((sum, of) => sum + of.requests, 0);
  if (rejected <= 0) return [];
  const left = Object.entries(errors).map(
    ([code, count]) => [code, count - known.reduce((sum, of) => sum + (of.errors[code] ?? 0), 0)] as const,
  );
  const [code] = left.toSorted(([, one], [, other]) => other - one)[0] ?? ['unknown'];
  return [`${share(rejected, requests)} of all requests are rejected at once: ${code}`];
}

function waitSentence(priority: string, { waitMs, bottlenecks }: PriorityFigures): string[] {
  // Jobs wait by design.
  if (waitMs === null || waitMs.p95 < WAIT_MS_MIN || priority === 'job') return [];
  const waits = `\`${priority}\` waits ${time(waitMs.p95)} at p95`;
  if (bottlenecks.length === 0) return [waits];
  return [`${waits}: ${bottlenecks.join(' and ')} ${bottlenecks.length === 1 ? 'is the bottleneck' : 'are the bottlenecks'}`];
}

function lossSentence(priority: string, { requests, success, cancelled, errors }: PriorityFigures): string[] {
  const asked = requests - cancelled;
  if (success >= asked * SUCCESS_MIN) return [];
  const [most] = Object.entries(errors);
  const why = most === undefined ? '' : `, ${most[1] === asked - success ? 'all' : 'most'} of them ${most[0]}`;
  return [`${share(asked - success, asked)} of \`${priority}\` are not served${why}`];
}
