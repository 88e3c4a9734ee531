import { Charts } from './charts.tsx';
import { Clients } from './clients.tsx';
import { Jobs } from './jobs.tsx';
import { KeyForm } from './key-form.tsx';
import { Notices } from './notices.tsx';
import { Overview } from './overview.tsx';
import { Queue } from './queue.tsx';
import { RequestPanel } from './request-panel.tsx';
import { Requests } from './requests.tsx';
import { link, model } from './store.ts';
import { Targets } from './targets.tsx';
import { TopBar } from './top-bar.tsx';

export function App() {
  const { phase } = link.value;
  if (phase === 'key') return <KeyForm />;
  return (
    <>
      <TopBar />
      <main>{model.value.state === null ? <Waiting /> : <Page />}</main>
      <RequestPanel />
    </>
  );
}

function Page() {
  return (
    <>
      <Overview />
      <Targets />
      <Charts />
      <div class="columns">
        <Requests />
        <div class="side">
          <Queue />
          <Notices />
          <Clients />
          <Jobs />
        </div>
      </div>
    </>
  );
}

/** Shown before the first frame; contains nothing that would move when it arrives. */
function Waiting() {
  const current = link.value;
  const text =
    current.phase === 'refused'
      ? current.message
      : current.phase === 'lost'
        ? `No connection to the gateway: ${current.message}. Retrying.`
        : 'Connecting to the gateway…';
  return (
    <p class="notice" role="status">
      {text}
    </p>
  );
}
