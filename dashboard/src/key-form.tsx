import { connection, link } from './store.ts';

/** Asks for the admin key. It is held in memory only, so a reload asks again. */
export function KeyForm() {
  const current = link.value;
  const message = current.phase === 'key' ? current.message : null;
  return (
    <main class="gate">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const key = new FormData(event.currentTarget).get('key');
          if (typeof key === 'string' && key !== '') connection.open(key);
        }}
      >
        <h1>Breakwater</h1>
        <label for="key">Admin key</label>
        <input id="key" name="key" type="password" autocomplete="off" spellcheck={false} required autofocus aria-describedby="key-note" />
        <p id="key-note" class={message === null ? 'muted' : 'text-bad'} role={message === null ? undefined : 'alert'}>
          {message === null ? 'server.adminKey of this gateway. It is kept in this tab’s memory only.' : `Not accepted: ${message}.`}
        </p>
        <button type="submit">Open</button>
      </form>
    </main>
  );
}
