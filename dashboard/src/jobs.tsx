import { clockTime, count, percent } from './format.ts';
import type { JobProgress } from './frames.ts';
import { model } from './store.ts';

const shownMax = 20;

/** The last section of its column, so nothing moves when the first job starts. */
export function Jobs() {
  const jobs = model.value.state!.status.jobs ?? [];
  if (jobs.length === 0) return null;
  return (
    <section aria-labelledby="jobs-title">
      <h2 id="jobs-title">
        Jobs <small>batches and background responses</small>
      </h2>
      <ul class="jobs">
        {jobs.slice(0, shownMax).map((job) => (
          <Job key={job.id} job={job} />
        ))}
      </ul>
    </section>
  );
}

function Job({ job: { id, client, state, total, done, failed, endsAt } }: { job: JobProgress }) {
  const share = total === 0 ? 0 : done / total;
  return (
    <li>
      <span class="cut mono" title={id}>
        {id}
      </span>
      <span class="cut">{client}</span>
      <span class="bar">
        <span class="fill" style={{ width: `${share * 100}%` }} />
      </span>
      <span>
        {count(done)} of {count(total)} ({percent(share)}){failed > 0 && <span class="text-bad">, {count(failed)} failed</span>}
      </span>
      <span class="muted">{endsAt === null ? state.replaceAll('_', ' ') : `until about ${clockTime(endsAt)}`}</span>
    </li>
  );
}
