import { clockSecond } from './format.ts';
import { model } from './store.ts';

const shownMax = 40;

export function Notices() {
  const { notices } = model.value;
  return (
    <section aria-labelledby="notices-title">
      <h2 id="notices-title">
        Events <small>changes of state, newest first</small>
      </h2>
      <div class="box notices" tabIndex={0} role="region" aria-label="Events">
        <ol>
          {notices.slice(0, shownMax).map(({ at, tone, text }, slot) => (
            <li key={slot} title={text}>
              <time>{clockSecond(at)}</time> <i class={`dot ${tone}`} /> <span>{text}</span>
            </li>
          ))}
        </ol>
        {notices.length === 0 && <p class="muted">No changes since the start.</p>}
      </div>
    </section>
  );
}
