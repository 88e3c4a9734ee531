/** Whether a text comments on the response instead of continuing it: `Sure! Here is the rest:`. */

/** Characters that may precede the first word. */
const LEAD = /^[\s"'`“”‘’„«»*_#>()[\]\-–—:.…]*/u;

/** Polite openings. A capital distinguishes them from words within a sentence, except in scripts without capitals. */
const OPENINGS = [
  "Sure|Certainly|Of course|Absolutely|Definitely|Okay|OK|Ok|Alright|All right|Got it|Understood|No problem|Great|Right|Yes|Thanks|Thank you|You're right",
  'Hello|Hi|Hey|Greetings|Dear user|Welcome back',
  "I apologi[sz]e|I'm sorry|I am sorry|Sorry|My apologies|Apologies|I'm unable|I cannot|I can't|As an AI|I'll|I will|Let me|Let's|Allow me",
  "Here's|Here is|Here are|Below is|Below are|The following is|This is the|Continuing|Continued|Continuation|Resuming|To continue|Picking up|Carrying on|Going on|It (?:looks|seems|appears)|As I was|Where was I",
  'Natürlich|Selbstverständlich|Gerne?|Klar|Sicher|Hier (?:ist|geht|folgt|kommt)|Fortsetzung|Weiter geht|Entschuldigung|Es tut mir|Tut mir leid|Ich (?:setze|fahre|mache)|Hallo|Verstanden',
  "Bien sûr|Certainement|Voici|Voilà|D'accord|Avec plaisir|Désolée?|Je suis désolée?|Je m'excuse|Je continue|Suite|Bonjour|Entendu|Très bien",
  'Claro|Por supuesto|Desde luego|Aquí (?:está|tienes|tiene|va)|Continuación|Continúo|Continuando|Lo siento|Disculpa|Perdón|Hola|Entendido|De acuerdo',
  'Certo|Certamente|Ecco|Naturalmente|Va bene|Continuo|Continuazione|Mi dispiace|Mi scuso|Scusa|Ciao|Capito|Volentieri',
  'Com certeza|Aqui (?:está|estão|vai)|Continuação|Continuando|Desculpe|Peço desculpa|Sinto muito|Olá|Entendi|Pois não',
  'Natuurlijk|Zeker|Uiteraard|Hier (?:is|volgt|komt|gaat)|Vervolg|Sorry|Het spijt|Goed|Begrepen|Graag',
  'Oczywiście|Jasne|Oto|Przepraszam|Kontynuuję|Självklart|Visst|Här (?:är|kommer)|Förlåt|Selvfølgelig|Her (?:er|kommer)|Beklager|Tabii|Elbette|İşte',
  'Конечно|Разумеется|Хорошо|Вот|Продолж|Извините|Прошу прощения|Простите|Понял|Здравствуйте|Привет|Звичайно|Ось',
].join('|');
const OPENING = new RegExp(`^(?:${OPENINGS})(?![\\p{L}\\p{N}])`, 'u');
const UNCASED =
  /^(?:(?:好的?|当然|當然|沒問題|没问题)[，,。！!：:\s]|(?:以下是|这是|這是|下面是|继续|繼續|接着|接下来[，,:：]|抱歉|对不起|明白|了解|はい|もちろん|承知|かしこまり|わかりました|了解|では[、,]|続き|以下(?:は|が|に)|申し訳|すみません|네[,.!\s]|물론|알겠|계속|다음은|죄송|بالطبع|بالتأكيد|حسن|إليك|آسف|ज़रूर|बेशक|ठीक है|क्षमा))/u;
/** Phrases about the response itself, anywhere near the beginning. */
const ABOUT =
  /left off|was (?:cut off|interrupted)|(?:here(?:'|’)?s|here is) (?:the|a) (?:rest|continuation|remain|remaining|next)|continu(?:e|ing|ation) (?:from|of) (?:where|the (?:text|answer|response|previous))|previous (?:message|response|answer)|let me (?:continue|finish|start (?:over|again)|complete|try again)|as an ai\b|以下是(?:后续|後續|剩余|接下来)|続きを(?:書|述|お)|wo (?:ich|wir) aufgehört|où (?:je|nous) (?:m'étais|nous étions)|donde (?:lo )?(?:dejé|dejamos)|вот продолжение|hier (?:ist|geht|folgt) (?:die|der|es) (?:fortsetzung|rest|weiter)|voici la suite/iu;
const ABOUT_CHARS = 160;

export function hasPreamble(next: string): boolean {
  const words = next.replace(LEAD, '');
  return OPENING.test(words) || UNCASED.test(words) || ABOUT.test(next.slice(0, ABOUT_CHARS));
}
