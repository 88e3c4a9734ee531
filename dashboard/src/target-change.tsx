/** Isolating and resetting a target, with a confirmation. */
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { changeTarget } from './api.ts';
import { model } from './store.ts';

export interface PendingChange {
  readonly target: string;
  readonly change: 'isolate' | 'reset';
}

/** A change that awaits confirmation. */
export const pendingChange = signal<PendingChange | null>(null);
/** Why the last change failed. */
export const problem = signal<string | null>(null);

export const changeLabels = { isolate: 'Isolate', reset: 'Reset' } as const;
const questions = {
  isolate: 'New requests use other targets of their model until it is reset; without one they are refused. Running requests continue.',
  reset: 'Closes its breaker and clears its cooldowns, quarantine and learned limits. It receives requests at once.',
} as const;

/** What becomes of new requests of models that have no other target. */
function soleText({ target, change }: PendingChange): string | null {
  const models = model.value.state?.status.onlyTargets.find((one) => one.target === target)?.models ?? [];
  if (change !== 'isolate' || models.length === 0) return null;
  return `It is the only target of ${models.join(', ')}: new requests for ${models.length === 1 ? 'this model' : 'these models'} are refused.`;
}

export function Confirm() {
  const pending = pendingChange.value;
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (pending !== null && dialog.current?.open === false) dialog.current.showModal();
    if (pending === null && dialog.current?.open === true) dialog.current.close();
  }, [pending]);
  return (
    <dialog ref={dialog} aria-labelledby="confirm-title" onClose={() => (pendingChange.value = null)}>
      {pending !== null && (
        <form method="dialog" onSubmit={() => void applyChange(pending)}>
          <h3 id="confirm-title">
            {changeLabels[pending.change]} {pending.target}?
          </h3>
          <p>{questions[pending.change]}</p>
          {soleText(pending) !== null && <p class="text-bad">{soleText(pending)}</p>}
          <p class="buttons">
            <button type="submit">{changeLabels[pending.change]}</button>
            <button type="button" class="quiet" onClick={() => (pendingChange.value = null)}>
              Cancel
            </button>
          </p>
        </form>
      )}
    </dialog>
  );
}

async function applyChange({ target, change }: PendingChange): Promise<void> {
  problem.value = null;
  try {
    await changeTarget(target, change);
  } catch (error) {
    problem.value = error instanceof Error ? error.message : String(error);
  }
}
