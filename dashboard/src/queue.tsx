import { count, duration, plural, wait } from './format.ts';
import type { QueueGroup } from './frames.ts';
import { model } from './store.ts';

const classes = ['high', 'normal', 'low', 'job'] as const;
const kindTexts: Readonly<Record<string, string>> = {
  requests: 'request limit',
  tokens: 'token limit',
  concurrency: 'concurrency limit',
  cooldown: 'cooldown',
  pause: 'pause',
  quarantine: 'quarantined credential',
  breaker: 'circuit breaker',
  client: 'client limit',
  budget: 'budget',
  incapable: 'not capable',
};

export function Queue() {
  const { queue } = model.value.state!.status;
  const most = Math.max(1, ...classes.map((name) => queue.waitingByPriority[name] ?? 0));
  return (
    <section aria-labelledby="queue-title">
      <h2 id="queue-title">
        Queue{' '}
        <small>
          {queue.waiting === 0 ? 'nothing waits' : `${plural(queue.waiting, 'request')}, the oldest for ${duration(queue.oldestMs)}`}
        </small>
      </h2>
      <ul class="classes">
        {classes.map((name) => {
          const waiting = queue.waitingByPriority[name] ?? 0;
          return (
            <li key={name}>
              <span>{name}</span>
              <span class="bar">
                <span class="fill" style={{ width: `${(waiting / most) * 100}%` }} />
              </span>
              <span class="number">{count(waiting)}</span>
            </li>
          );
        })}
      </ul>
      <div class="box groups" tabIndex={0} role="region" aria-label="What the queue is waiting for">
        {queue.groups.map((group) => (
          <Group key={`${group.model} ${group.priority} ${group.targets.join()}`} group={group} />
        ))}
        {queue.groups.length === 0 && <p class="muted">Every request starts at once.</p>}
      </div>
    </section>
  );
}

function Group({ group }: { group: QueueGroup }) {
  const { startsInMs, why } = group;
  return (
    <div class="group">
      <p>
        <strong>{count(group.waiting)}</strong> {group.priority} for <strong>{group.model}</strong>, first since {duration(group.waitedMs)};{' '}
        {startsInMs === null ? 'when one more would start is not known' : `one more would start in ${duration(startsInMs)}`}
      </p>
      <p class="muted" title={targetsOf(why)}>
        {targetsOf(why)}
      </p>
    </div>
  );
}

function targetsOf(why: QueueGroup['why']): string {
  return why.map(({ target, kind, waitMs }) => `${target}: ${kindTexts[kind] ?? kind} ${wait(waitMs)}`).join('; ');
}
