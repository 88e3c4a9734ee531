/**
 * Classifies the message of a refused call by what it says about the credential.
 *
 * A 401, 402 or 403 has many causes, and one request can provoke most of them: too large a `max_tokens`, a model that the key
 * may not use, a missing scope, a region. Such a refusal is no evidence against the key. A message about the whole account (no
 * balance, a spent monthly limit, a suspended account, an invalid key) is proof. Anything else needs evidence from another source.
 *
 * Phrases about the request take precedence over phrases about the account. They match anywhere in the message, since a wrong match only
 * makes the outcome milder. Phrases about the account match only before the first quotation mark: later text may be the caller's.
 */
import type { Failure } from './facts.ts';

/** - `account`: proof against the credential
 *  - `request`: the request alone is refused
 *  - `unclear`: evidence from another source decides */
export type Blame = 'account' | 'request' | 'unclear';

const MONEY_CODE =
  /insufficient_?(quota|balance|credits?|funds)|not_?enough_?(balance|credits?|funds)|(credit_)?balance_(exhausted|insufficient|not_enough|too_low)|exceeded_current_quota|spend(ing)?_limit|usage_limit_(exceeded|reached)|billing|arrearage|(account_?)?overdue|credit_limit_exceeded|^ServiceQuotaExceeded|(account|consumer)_?(suspended|deactivated|disabled)|organi[sz]ation_on_hold|credits_exhausted/i;

const MONEY_TEXT =
  /\binsufficient[ _](account )?(credit|balance|funds|quota)|\bspend(ing)? (limit|cap)|credit balance|\b(credit|key) limit (exceeded|reached)|api usage limits?|(balance|credits?|funds|quota) (is|are|has been|have been|was|were) ?(now |currently |too |all )?(insufficient|low|not enough|not sufficient|exhausted|depleted|negative|empty|used up|spent|zero)|(not (have )?(any|enough|sufficient)|no( more| remaining| available)?|out of|used (up )?all( available| of your| your)?|zero|exceeded your (monthly|included)( included)?) (available |remaining |account )?(credits?|balance|funds)|(monthly|annual|yearly) (\w+ ){0,2}(limit|quota|allowance|credits?) (has been |is |was )?(reached|exceeded|exhausted|used up)|(reached|exceeded|exhausted|used up) (your|its|the) (monthly|annual|yearly) (\w+ ){0,2}(limit|quota|allowance|credits?)|payment (is )?(overdue|past due|failed)|inactive subscription|余额不足|余额已|欠费|额度不足|额度已用/i;

const SUSPENDED_TEXT =
  /\b(account|organi[sz]ation|team|subscription|workspace|tenant|project)\b[^.;]{0,60}\b(is|was|are|been)\b ?(currently |temporarily |permanently )?(suspended|deactivated|disabled|overdue|in arrears|frozen|closed|terminated|cancell?ed|delinquent|not active|inactive)|\b(suspended|deactivated) account|\baccount (suspended|deactivated)|账[户号].{0,8}(停用|冻结|封禁)/i;

const KEY_CODE =
  /(invalid|incorrect|expired|revoked|disabled|unknown|wrong)_?(x_)?(api_?key|access_?key|access_?token|auth_?key)|token_(expired|revoked|invalidated)|api_?key_?(invalid|expired|revoked|disabled|not_found)|UnrecognizedClient|ExpiredToken|InvalidSignature|InvalidAuthenticationToken|cmek_key_(disabled|network_blocked)/i;

const BAD =
  '(incorrect|invalid|malformed|expired|revoked|disabled|deactivated|deleted|wrong|unknown|inactive|invalidated|leaked|reported as leaked|compromised)';
const KEY = String.raw`(x-|your |provided |the )?(api[ _-]?keys?|x-api-key|subscription key|(access|bearer|auth|oauth|authentication|secret|security)[ _-]?(key|token)|credentials?)`;
const KEY_TEXT = new RegExp(
  String.raw`\b${BAD} ${KEY}\b|\b${KEY}\b[^.;]{0,40}\b(not valid|${BAD.slice(1, -1)}|not found|does(n't| not) exist)\b|(无效|错误|过期)的?.{0,6}(api ?key|令牌|密钥)|(api ?key|令牌|密钥).{0,10}(无效|错误|不存在|过期)`,
  'i',
);
/** In a 400 only the beginning of the message counts: the rest may describe the caller's content. */
const KEY_OPENING = new RegExp(
  String.raw`^\W{0,3}(error: )?(the |your |this )?(${BAD} ${KEY}\b|(provided )?api[ _-]?key\b[^.;]{0,20}\b(not valid|invalid|incorrect|expired|revoked)\b)`,
  'i',
);

const SIZE =
  /\b(fewer|less|smaller|lower|reduce|decrease|shorten)\b.{0,30}(max_?(\w{1,20}_)?tokens|\btokens\b|\bprompt\b|\bcontext\b)|requested (up to |at most )?\d|\btokens? limit exceeded|\d > \d|can(not|'t| not| only)? (only )?afford|\b(request|call|prompt|image|generation)\b.{0,20}\brequires? (more|additional|at least)|exceeds? (your |the )?(remaining|available) (credit|balance|quota)/i;
const MODEL =
  /\b(this|that|the requested|the specified|requested) (model|endpoint|operation|feature|resource|deployment|engine)\b|\b(access|permission|permitted|allowed|authori[sz]ed|entitled|subscribed|enabled|available|eligible) (to|for|in|on|with)\b.{0,40}\bmodels?\b|\bmodels?\b.{0,80}\b(not (available|enabled|allowed|accessible|permitted|supported|authori[sz]ed|included)|no access|access|restricted|gated|require[sd]?|only)\b|\b(feature|beta|preview|early access|waitlist|gated)\b/i;
const SCOPE =
  /\bscopes?\b|\bpermissions?\b.{0,40}\b(to|for|on)\b|\b(insufficient|missing|lacks?|required?|necessary|not have( the)?( required| sufficient)?) permissions?\b|\bnot (allowed|permitted|authori[sz]ed|entitled) (to|for)\b|\bdoes(n't| not) have access to\b/i;
const VERIFICATION =
  /\b(must|needs? to|has to|have to|should) be verified\b|\bverify (your|the) (organi[sz]ation|identity|account|phone|e-?mail|age)|\bverification (is )?(required|needed|pending)|\bnot (yet )?verified\b/i;
const REGION = /\b(regions?|countr(y|ies)|territor(y|ies)|locations?|jurisdictions?|geograph\w{1,8})\b/i;
const REQUEST_CODE =
  /unsupported_country|region|territory|scope|insufficient_permissions?|missing_permissions?|verification|not_verified|model_(not|access|un)|feature|user_profile/i;

/** A message about one call only, though a code or the rest of it may speak of the account. */
const THIS_REQUEST = /\b(this|your) (request|call|query)\b/i;

/** True if the message is about this request, its model, size, scope or region. */
export function concernsRequest(failure: Failure): boolean {
  const { message } = failure;
  if (SIZE.test(message) || MODEL.test(message) || SCOPE.test(message) || VERIFICATION.test(message) || REGION.test(message)) return true;
  return hasCode(REQUEST_CODE, failure);
}

/** True if the message is about exhausted credit or a suspended account, for all calls or for this one. */
export function concernsMoney(failure: Failure): boolean {
  const text = beforeQuote(failure.message);
  return hasCode(MONEY_CODE, failure) || MONEY_TEXT.test(text) || SUSPENDED_TEXT.test(text);
}

/** True if the key itself is refused. */
export function concernsKey(failure: Failure): boolean {
  return hasCode(KEY_CODE, failure) || KEY_TEXT.test(beforeQuote(failure.message));
}

/** The same for a 400, where most errors are about the caller's content. */
export function startsWithKeyError(failure: Failure): boolean {
  return hasCode(KEY_CODE, failure) || KEY_OPENING.test(beforeQuote(failure.message));
}

/** `names`: whether the message names a fault of the account. */
export function blameFor(failure: Failure, names: boolean): Blame {
  if (concernsRequest(failure)) return 'request';
  return names && !THIS_REQUEST.test(beforeQuote(failure.message)) ? 'account' : 'unclear';
}

/** The message up to the first quotation mark, from which on it may be the caller's text. An apostrophe within a word does not count. */
export function beforeQuote(message: string): string {
  const quote = /(?<![\p{L}\p{N}])["'`‘“«]/u.exec(message);
  return quote === null ? message : message.slice(0, quote.index);
}

function hasCode(words: RegExp, { code, type }: Failure): boolean {
  return (code !== null && words.test(code)) || (type !== null && words.test(type));
}
