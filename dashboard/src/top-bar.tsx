import { clockSecond, duration } from './format.ts';
import { link, model, setTheme, theme, themes } from './store.ts';

export function TopBar() {
  const { state } = model.value;
  const facts = state?.facts ?? {};
  return (
    <header class="topbar">
      <h1>
        <svg viewBox="0 0 32 32" width="18" height="18" aria-hidden="true">
          <path
            d="M3 21c4 0 4-3 8-3s4 3 8 3 4-3 8-3M9 13l7-7 7 7"
            fill="none"
            stroke="currentColor"
            stroke-width="3"
            stroke-linecap="round"
            stroke-linejoin="round"
          />
        </svg>
        Breakwater
      </h1>
      <p class="facts">
        {state?.status.simulated === true && <span class="badge warn">simulated</span>}
        {facts['version'] !== undefined && <span class="roomy-only">{facts['version']}</span>}
        {state !== null && <span>up {duration(state.at - state.startedAt)}</span>}
        {facts['store'] !== undefined && <span class="wide-only">store {facts['store'].split(':')[0]}</span>}
      </p>
      <LinkState />
      <button type="button" class="quiet" aria-label={`Colours: ${theme.value}. Change`} onClick={nextTheme}>
        {theme.value}
      </button>
    </header>
  );
}

function LinkState() {
  const current = link.value;
  const { state } = model.value;
  if (current.phase === 'lost')
    return (
      <p class="link bad" role="alert">
        <i class="dot" /> connection lost{state === null ? '' : `, figures of ${clockSecond(state.at)}`}
      </p>
    );
  if (current.phase === 'refused')
    return (
      <p class="link bad" role="alert">
        <i class="dot" /> refused
      </p>
    );
  return (
    <p class="link good">
      <i class="dot" /> {current.phase === 'live' && state !== null ? <time>{clockSecond(state.at)}</time> : 'connecting'}
    </p>
  );
}

function nextTheme(): void {
  setTheme(themes[(themes.indexOf(theme.value) + 1) % themes.length]!);
}
