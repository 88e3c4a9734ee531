/** The report in a few sentences: who waits, for what, and who is not served. */
import { SCHEDULING_CLASSES } from '../../core/request.ts';
import { share, time } from './figures-text.ts';
import type { PriorityFigures, ScenarioFigures } from './scenario.ts';

/** A wait that is worth a sentence, in milliseconds at p95. */
const WAIT_MS_MIN = 1_000;
const SUCCESS_MIN = 0.99;

/** One sentence for each thing that somebody should know of the scenario. */
export function verdictOf(figures: ScenarioFigures): string[] {
  const sentences = SCHEDULING_CLASSES.flatMap((priority) => {
    const of = figures.byPriority[priority];
    return of.requests === 0 ? [] : [...waitSentence(priority, of), ...lossSentence(priority, of)];
  });
  sentences.push(...strangerSentence(figures));
  const prefix = figures.without === null ? '' : `without ${figures.without}: `;
  if (sentences.length === 0) sentences.push('everybody is served, and nobody waits a second at p95');
  return sentences.map((sentence) => `${prefix}${sentence}`);
}

/** Requests that never came to have a priority, as for a model that the config does not know. */
function strangerSentence({ requests, byPriority, errors }: ScenarioFigures): string[] {
  const known = SCHEDULING_CLASSES.map((priority) => byPriority[priority]);
  const strangers = requests - known.reduce((sum, of) => sum + of.requests, 0);
  if (strangers <= 0) return [];
  const left = Object.entries(errors).map(
    ([code, count]) => [code, count - known.reduce((sum, of) => sum + (of.errors[code] ?? 0), 0)] as const,
  );
  const [code] = left.toSorted(([, one], [, other]) => other - one)[0] ?? ['unknown'];
  return [`${share(strangers, requests)} of all requests are turned away at once: ${code}`];
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
