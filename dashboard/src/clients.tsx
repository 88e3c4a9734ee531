import { count, dollars } from './format.ts';
import { limitText, overBudgetOf, sessionText } from './budgets.ts';
import type { ClientActivity, ClientLimit, OperatorStatus, SessionLimit } from './frames.ts';
import { model } from './store.ts';
import { shownCost } from './target-rows.ts';

const shownMax = 50;
/** A budget with this part left, or less, is marked. */
const lowShare = 0.1;

interface ClientRow extends ClientActivity {
  readonly limits: readonly ClientLimit[];
  /** Of each of its sessions; null: none. */
  readonly session: SessionLimit | null;
  /** Of today; null: unknown, or nothing was billed. */
  readonly costUsd: number | null;
}

export function Clients() {
  const { clients, status } = model.value.state!;
  const rows = join(clients, status);
  const hasCost = rows.some(({ costUsd }) => costUsd !== null);
  return (
    <section aria-labelledby="clients-title">
      <h2 id="clients-title">
        Clients <small>last 5 minutes</small>
      </h2>
      <div class="box clients" tabIndex={0} role="region" aria-label="Clients">
        <table>
          <thead>
            <tr>
              <th scope="col">Client</th>
              <th scope="col" class="number">
                Requests
              </th>
              <th scope="col" class="number">
                Failed
              </th>
              <th scope="col" class="number">
                Refused
              </th>
              <th scope="col">Limits</th>
              {hasCost && (
                <th scope="col" class="number">
                  Cost today
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, shownMax).map((row) => (
              <tr key={row.client}>
                <th scope="row" class="cut" title={row.client}>
                  {row.client}
                </th>
                <td class="number">{count(row.requests)}</td>
                <td class={row.failed > 0 ? 'number text-bad' : 'number'}>{count(row.failed)}</td>
                <td
                  class={row.refused + row.rejected > 0 ? 'number text-warn' : 'number'}
                  title={row.rejected > 0 ? `${count(row.rejected)} of them for their key, model or session` : undefined}
                >
                  {count(row.refused + row.rejected)}
                </td>
                <td>
                  {row.limits.length === 0 && row.session === null && <span class="muted">none</span>}
                  {row.limits.map((limit) => limitItem(limit, overBudgetOf(row, limit) > 0))}
                  {row.session !== null && <span class="item">{sessionText(row.session)}</span>}
                </td>
                {hasCost && <td class="number">{row.costUsd === null ? '–' : dollars(row.costUsd)}</td>}
              </tr>
            ))}
          </tbody>
        </table>
        {rows.length > shownMax && <p class="muted">{count(rows.length - shownMax)} more clients with fewer requests</p>}
      </div>
    </section>
  );
}

function limitItem(limit: ClientLimit, isOverBudget: boolean) {
  const isLow = limit.kind === 'budget' && (isOverBudget || limit.available <= limit.limit * lowShare);
  return (
    <span key={limit.kind} class={isLow ? 'item text-warn strong' : 'item'}>
      {limitText(limit)}
    </span>
  );
}

function join(clients: readonly ClientActivity[], { clientLimits: limits, sessionLimits, costToday }: OperatorStatus): ClientRow[] {
  const names = [...new Set([...clients.map(({ client }) => client), ...[...limits, ...sessionLimits].map(({ client }) => client)])];
  return names
    .map((client) => {
      const activity = clients.find((one) => one.client === client) ?? {
        client,
        requests: 0,
        failed: 0,
        refused: 0,
        rejected: 0,
        overBudget: 0,
        overBudgetAt: null,
      };
      const costUsd = shownCost(costToday.byClient.find((one) => one.client === client));
      return {
        ...activity,
        limits: limits.filter((one) => one.client === client),
        session: sessionLimits.find((one) => one.client === client) ?? null,
        costUsd,
      };
    })
    .toSorted((a, b) => b.requests - a.requests);
}
