/** Isolating and resetting a target: asked for once more, then sent. */
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { changeTarget } from './api.ts';

export interface Wish {
  readonly target: string;
  readonly change: 'isolate' | 'reset';
}

/** A change that waits for its confirmation. */
export const wish = signal<Wish | null>(null);
/** Why the last change was not made. */
export const problem = signal<string | null>(null);

export const changeLabels = { isolate: 'Isolate', reset: 'Reset' } as const;
const questions = {
  isolate: 'New requests use other targets until it is reset. Requests that run on it go on.',
  reset: 'Closes its breaker and forgets its cooldowns, quarantine and learned limits. It gets requests at once.',
} as const;

export function Confirm() {
  const asked = wish.value;
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (asked !== null && dialog.current?.open === false) dialog.current.showModal();
    if (asked === null && dialog.current?.open === true) dialog.current.close();
  }, [asked]);
  return (
    <dialog ref={dialog} aria-labelledby="confirm-title" onClose={() => (wish.value = null)}>
      {asked !== null && (
        <form method="dialog" onSubmit={() => void carryOut(asked)}>
          <h3 id="confirm-title">
            {changeLabels[asked.change]} {asked.target}?
          </h3>
          <p>{questions[asked.change]}</p>
          <p class="buttons">
            <button type="submit">{changeLabels[asked.change]}</button>
            <button type="button" class="quiet" onClick={() => (wish.value = null)}>
              Cancel
            </button>
          </p>
        </form>
      )}
    </dialog>
  );
}

async function carryOut({ target, change }: Wish): Promise<void> {
  problem.value = null;
  try {
    await changeTarget(target, change);
  } catch (error) {
    problem.value = error instanceof Error ? error.message : String(error);
  }
}
