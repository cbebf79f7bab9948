/* rules: the tables of rules.h. From the special to the general; what a
 * provider means by words of its own stands before the words' common meaning.
 * Phrases are general on purpose: they should fit wordings nobody has sent us
 * yet. Data only; called by judge. */
#include <config.h>

#include "spooler/policy/rules.h"

/* Before any message is at stake. */
#define AT_DOOR (1U << PHASE_CONNECT | 1U << PHASE_BANNER | 1U << PHASE_EHLO)
#define AT_MAIL (1U << PHASE_MAIL)
#define AT_RCPT (1U << PHASE_RCPT)
#define AT_DATA (1U << PHASE_DATA | 1U << PHASE_BODY)
#define AT_END (1U << PHASE_EOM)

#define MICROSOFT " outlook m365 exchange m365-relay "

const struct rule rules[] = {
    /* ---- codes and short cuts of single providers ---------------------------- */
    { .name = "Microsoft: IP throttled", .codes = 4, .provider = MICROSOFT, .text = "server busy ~~ from ip / "
      "access denied ~~ again",
      .cause = CAUSE_REPUTATION, .scope = SCOPE_SOURCE_IP },
    { .name = "Microsoft: rate (RP-001, RP-002)", .provider = MICROSOFT, .text = "rate limit* allowed",
      .cause = CAUSE_REPUTATION, .scope = SCOPE_SOURCE_IP },
    { .name = "Yahoo: greylisting (GL)", .provider = " yahoo ", .text = "gl#|gl01|gl02", .cause = CAUSE_GREYLISTED,
      .scope = SCOPE_SOURCE_IP },
    { .name = "Mimecast: first contact", .codes = 4, .provider = " mimecast ", .text = "internal resource* ~ unavailable",
      .cause = CAUSE_GREYLISTED, .scope = SCOPE_TRIPLET },
    { .name = "Mimecast: connections of an account", .codes = 4, .provider = " mimecast ", .text = "account service ~ unavailable",
      .cause = CAUSE_TOO_MANY_CONNECTIONS, .scope = SCOPE_SOURCE_IP },
    { .name = "Mimecast: short-lived IP block", .codes = 4, .provider = " mimecast ", .text = "ip temporarily blacklisted",
      .cause = CAUSE_RATE_LIMITED, .scope = SCOPE_SOURCE_IP },
    { .name = "Yandex: first contact", .codes = 4, .provider = " yandex ", .text = "service ~ unavailable ~ come back",
      .cause = CAUSE_GREYLISTED, .scope = SCOPE_SOURCE_IP },
    { .name = "NetEase: connections", .provider = " netease ", .text = "^ hl icc", .cause = CAUSE_TOO_MANY_CONNECTIONS,
      .scope = SCOPE_SOURCE_IP },
    { .name = "NetEase: rate", .provider = " netease ", .text = "^ mi sfq / ^ rp qrc / ^ rp cel / ^ mi dmc / ^ mi stc / "
      "^ hl itc / ^ hl ihc",
      .cause = CAUSE_RATE_LIMITED, .scope = SCOPE_SENDER },
    { .name = "NetEase: content", .provider = " netease ", .text = "^ dt spm / ^ dt sum", .cause = CAUSE_CONTENT_TEMP,
      .cause_5yz = CAUSE_PERM_CONTENT, .scope = SCOPE_MESSAGE },
    { .name = "NetEase: reputation", .provider = " netease ", .text = "^ hl|wm|dt|rp|mi rep|mep|bli|rbl|*",
      .cause = CAUSE_REPUTATION,
      .cause_5yz = CAUSE_PERM_REPUTATION, .scope = SCOPE_SOURCE_IP },
    { .name = "AOL: no reverse DNS", .provider = " aol yahoo ", .text = "dns nr|b1|b2", .cause = CAUSE_AUTH_POLICY,
      .cause_5yz = CAUSE_PERM_AUTH, .scope = SCOPE_SOURCE_IP },
    { .name = "AOL: rate", .provider = " aol yahoo ", .text = "con|dyn b*|t*", .cause = CAUSE_RATE_LIMITED,
      .scope = SCOPE_SOURCE_IP },
    { .name = "AOL: content", .provider = " aol yahoo ", .text = "^ hvu b*", .cause = CAUSE_CONTENT_TEMP,
      .cause_5yz = CAUSE_PERM_CONTENT, .scope = SCOPE_MESSAGE },
    { .name = "AOL: reputation", .provider = " aol yahoo ", .text = "^ rly|rtr *", .cause = CAUSE_REPUTATION,
      .cause_5yz = CAUSE_PERM_REPUTATION, .scope = SCOPE_SOURCE_IP },
    { .name = "Orange: too many refusals of late", .codes = 421, .provider = " orange ", .text = "ofr 999",
      .cause = CAUSE_REPUTATION, .scope = SCOPE_SOURCE_IP },

    { .name = "Google: no reason given", .codes = 421, .text = "try again later closing connection", .cause = CAUSE_UNKNOWN_TEMP,
      .scope = SCOPE_SOURCE_IP },
    { .name = "Exchange: the recipient takes mail of some only", .text = "resolver rst *", .cause = CAUSE_PERM_POLICY,
      .scope = SCOPE_RECIPIENT },

    /* ---- it will never do, whatever the code says ------------------------------ */
    { .name = "retrying will not succeed", .text = "permanently deferred / retrying will not succeed",
      .cause = CAUSE_PERM_REPUTATION, .scope = SCOPE_SOURCE_IP },

    /* ---- our own behaviour ------------------------------------------------------ */
    { .name = "too many unknown recipients", .text = "too many|much ~ invalid|unknown|bad|nonexistent|non ~ recipient*|user*|"
      "address* / "
      "excessive ~ unknown|invalid", .unless = "goodbye|session|connection", .cause = CAUSE_REPUTATION, .scope = SCOPE_SOURCE_IP },
    { .name = "recipients per time", .text = "too many recipients ~ from / too many recipients ~~ hour|minute|day|time / "
      "recipients per hour|minute|day|second|interval", .cause = CAUSE_RATE_LIMITED, .scope = SCOPE_SOURCE_IP },
    { .name = "too many recipients in one transaction", .text = "too many recipient* / maximum ~ recipients / max recipients / "
      "recipient* ~ limit ~ exceeded|reached / recipient* count|limit / allow* rcpt / too many rcpt* / "
      "multiple destination domains / number of recipients / one|single|# recipient ~ at|per|only / only # recipients / "
      "recipients per message|transaction|mail|email|session / limit ~ recipients",
      .unless = "rate|hour|day|minute|receive", .cause = CAUSE_TOO_MANY_RECIPIENTS, .scope = SCOPE_MESSAGE },
    { .name = "greylisting says blacklisted", .codes = 5, .text = "greylist* ~ blacklisted / greylist* ~~ blacklisted",
      .cause = CAUSE_PERM_REPUTATION, .scope = SCOPE_SOURCE_IP },
    { .name = "greylisting", .text = "*greylist*|*graylist*|*graulist* / grey|gray list* / liste|lista grise|gris|grigia",
      .unless = "blacklisted", .cause = CAUSE_GREYLISTED, .scope = SCOPE_TRIPLET },
    { .name = "first contact", .codes = 4, .phases = AT_MAIL | AT_RCPT | AT_DATA | AT_END, .text = "first time|contact / "
      "new ~ triplet / delayed ~ new sender / "
      "first ~ get|got|seen|see / spam delay / accepted ~ next attempt / not yet ~ seen|known|expired / unknown|new to us / "
      "not seen ~ before / never seen / "
      "unknown ~ server|sender|client ~~ come|try|later", .unless = "too many / throttl*",
      .cause = CAUSE_GREYLISTED, .scope = SCOPE_TRIPLET },

    { .name = "messages in one connection", .text = "message*|mail*|email*|envelope*|transaction* ~ per|this|single|one|a|"
      "in session|connection / "
      "message*|mail*|email*|envelope*|transaction* ~~ per|this|single|one session|connection / "
      "message threshold exceeded / messages sent too many messages / session exceeded / open|start a new session|connection / "
      "max|maximum message* per", .unless = "tls|ssl|secure|encrypted|unable|cannot|hour|minute|closed|reputation",
      .cause = CAUSE_TOO_MANY_PER_CONNECTION, .scope = SCOPE_CONNECTION },

    { .name = "server full of connections", .text = "too many ~ connections|sessions to this|the|our host|server|listener|system / "
      "all ~ ports|servers ~ busy", .cause = CAUSE_CONGESTION, .scope = SCOPE_HOST },
    { .name = "server full of connections", .text = "too many concurrent|simultaneous ~ connections|sessions",
      .unless = "ip|your|client|per|sender", .cause = CAUSE_CONGESTION, .scope = SCOPE_HOST },
    { .name = "too many connections", .text = "too many ~ connection*|session*|channel* / "
      "concurrent|simultaneous|parallel ~ connection*|session* / "
      "connection*|session* limit / maximum ~ number of ~ connection*|session* / limit on ~ connections / "
      "exceeded ~ connection*|session* ~ limit|allowed / thread limit / number of ~ concurrent|simultaneous / "
      "connection* ~ exceed*|reached / concurrency / already ~ connections|sessions / # connections|sessions ~ open / "
      "open connections / "
      "max|maximum ~ connections|sessions / excessive connections|sessions", .unless = "ts04|tss04 / "
      "attempt*|rate|hour|minute|second*|day|frequent*|new|recent / allowable connection time / "
      "connection time / per hour", .cause = CAUSE_TOO_MANY_CONNECTIONS, .scope = SCOPE_SOURCE_IP },

    { .name = "rate, for lack of authentication", .codes = 4,
      .text = "rate limited because ~~ spf|dkim|dmarc|tls|authenticat*|unauthenticated|aligned / "
      "rate limited because ~~ header / no|missing|without ~ ptr record / not have ~ ptr record",
      .unless = "lookup|resolve|temporary", .cause = CAUSE_AUTH_POLICY,
      .cause_5yz = CAUSE_PERM_AUTH, .scope = SCOPE_SENDER },
    { .name = "unusual rate of mail", .codes = 4, .text = "unusual rate / unusual ~ volume|amount", .cause = CAUSE_RATE_LIMITED,
      .scope = SCOPE_SOURCE_IP },
    { .name = "rate, for reputation", .text = "rate|rates|limited|limits|throttl*|deferred|delayed ~~ reputation|complaint* / "
      "rate|rates ~ spam / high spam / "
      "reputation ~~ limit*|throttl* / messages from ~ untrusted|new ~ ip / untrusted ip / unusual traffic",
      .cause = CAUSE_REPUTATION, .cause_5yz = CAUSE_PERM_REPUTATION, .scope = SCOPE_SOURCE_IP },
    { .name = "too many spam messages", .text = "too many|much spam* / spam* from your|this / too many messages ~~ spam / "
      "too many errors from|by / user complaints / too many complaints / messages ~ complaints",
      .cause = CAUSE_REPUTATION, .scope = SCOPE_SOURCE_IP },
    { .name = "unsolicited mail", .text = "unsolicited", .cause = CAUSE_REPUTATION, .cause_5yz = CAUSE_PERM_REPUTATION,
      .scope = SCOPE_SOURCE_IP },
    { .name = "too fast", .text = "rate ~ limit* / ratelimit* / rate exceed* / exceed* ~ rate / *throttl* / frequency ~ limit* / "
      "too|to many message*|mail*|email*|request*|connect*|attempt*|login*|command*|error*|bad|failed|failures|recent|invalid|"
      "helo|ehlo / "
      "too frequent*|fast|quickly|rapidly|often|soon / too much mail|email|traffic|messages / reconnect* ~ fast|soon|quickly / "
      "slow down / sending ~ rate|limit|speed|quota / message|mail|sending|receiving|relay ~ quota|limit|limits ~ exceeded|reached / "
      "exceed* ~~ hour|day|minute|daily|hourly / daily|hourly|monthly ~ limit|quota|limits / relay ~ limit|quota / "
      "per hour|day|minute|second|hr / "
      "max*|limit|limited # ~ per|# / limits for how many / credits ~ exceeded / exceeded ~ credits|messages / "
      "messages ~ exceeded / "
      "short ~ period|time|amount / receiving mail at a rate / at a rate that / send too many / has sent ~ many / "
      "this hour / werent sent / more than # ~~ hour|minute|day|seconds|minutes / over ~ hourly|daily|rate / "
      "volume ~~ limited / back off / more than one sender / messages ~ this hour / try again tomorrow",
      .unless = "mail data / rejected reconnect / disk|storage|mailbox size / over quota / message size / hops / "
      "received headers / reputation / spf|dkim|dmarc / retries / content / "
      "connection time", .cause = CAUSE_RATE_LIMITED, .scope = SCOPE_SOURCE_IP },

    /* ---- the recipient's box ------------------------------------------------------ */
    { .name = "mailbox full", .text = "over quota / overquota|overquota* / quota ~ exceed*|full|reached|violation / "
      "exceed* ~ quota / "
      "mailbox|inbox|account|box|folder|user|boite ~ full|plein*|voll|exceed*|oversize* / exceed* ~ storage / "
      "storage ~ exceed*|full|exhausted|space|allocation|limit / "
      "exceeded ~ mailbox limit / no room|space left / mailbox|maildir|user ~ size|limit|quota ~ exceed* / mailbox ~ exceeds / "
      "disk quota / exhausted ~ storage / "
      "not enough ~ space ~ mailbox|user / too much mail data / insufficient ~ mailbox|user* / no space ~ mailbox / "
      "postfach|mailbox|buzon|casilla|casella ~ voll|llen*|pien* / enough space / over ~ allowed quota / "
      "too many messages on the server / "
      "exceeding ~ quota / reached ~ quota / mailfolder is full / quota violation / trouble in home directory / out of ~ quota / "
      "maximum ~ mailbox ~ size / mailbox ~~ maximum ~ size", .unless = "message size / message length / organization / rate / "
      "system / queue quota / per hour / transfer",
      .cause = CAUSE_MAILBOX_FULL, .scope = SCOPE_RECIPIENT },
    { .name = "message too large for the recipient", .enh = ".2.3", .cause = CAUSE_PERM_SIZE, .scope = SCOPE_RECIPIENT },
    { .name = "message too large", .text = "message|mail|size|data ~ larger than / message ~ exceeds # mb|kb|bytes|mib / "
      "message|mail|size|data ~ too|to large|big|long / message|mail ~ size|length ~~ exceed*|limit*|maximum / "
      "size|length ~ exceed* / exceed* ~ size|length / maximum ~ message size / size limit / size violation / file too big",
      .unless = "allowed size / mailbox|mailboxes / header / line", .cause = CAUSE_PERM_SIZE, .scope = SCOPE_MESSAGE },
    { .name = "mailbox exceeds its size", .text = "mailbox ~ exceeds|exceeded / exceeds allowed size / mailbox size",
      .cause = CAUSE_MAILBOX_FULL,
      .scope = SCOPE_RECIPIENT },

    /* ---- names that do not resolve, for now ----------------------------------------- */
    { .name = "their DNS failed", .codes = 4, .text = "dns ~ fail*|error|timeout|problem|temporar* / temporary ~ dns / "
      "lookup ~ fail*|error|problem|timeout / fail* ~ lookup / "
      "spf ~ temp* / spf ~ no response / temporar* ~ spf|dkim|dmarc / spf|dkim|dmarc ~ no response|answer|temperror / "
      "key ~ not ~ retrieved|fetched|found / "
      "temporarily rejected per dmarc / cannot|cant|could|can|unable|does|did|not ~ resolve* / cant be resolved / "
      "can not check mx / "
      "domain ~ not found / reverse dns fail* / dnssec / dns check / no dns / name ~ lookup|resolution / "
      "*domain* ~ does not exist / *sender* ~ verif* ~ temporar* / no|without mx|a record|records",
      .unless = "mailbox|user ~ lookup / cannot find your / table / temporary lookup failure / queries for your ip fail / "
      "ip failed / "
      "for this ip failed / temporarily rejected reverse", .cause = CAUSE_DNS_TEMP, .scope = SCOPE_SENDER },
    { .name = "their DNS failed", .codes = 4, .enh = ".4.3", .unless = "address", .cause = CAUSE_DNS_TEMP, .scope = SCOPE_HOST },

    { .name = "form of the message", .text = "bare lf|line|linefeed|cr / bare / rfc compliant / rfc 5322 / not ~ compliant / "
      "line* ~~ long|longer|998 / duplicate header / header* ~ invalid|error|missing|duplicate / "
      "invalid header / invalid structure / mime / missing ~ header / encoded word / 8 bit data / unicode / improper use / "
      "header error",
      .unless = "recipient address / valid rfc", .cause = CAUSE_PERM_CONTENT, .scope = SCOPE_MESSAGE },

    /* ---- who we are ------------------------------------------------------------------ */
    { .name = "their login failed for now", .codes = 4, .text = "temporary authentication / cannot|unable ~ authenticate / "
      "auth error / authentication ~ temporar* / tls ~ unavailable / tls ~ not available / tls session|handshake|negotiation ~ fail*",
      .cause = CAUSE_CONGESTION, .scope = SCOPE_HOST },
    { .name = "listed", .text = "*spamhaus* / sorbs|dnsbl|dnsbls|rbl|*rbl|spamcop|sbl|xbl|pbl|shxbl|uceprotect|hostkarma|"
      "barracudacentral|cloudmark|senderbase / "
      "black list* / *blacklist* / *blocklist* / block list* / list* ~ at|in ~ *bl / blocked using / bl21|bl23",
      .unless = "geo* / geographic* / countr* / by recipient|user", .urls = true, .cause = CAUSE_REPUTATION,
      .cause_5yz = CAUSE_PERM_REPUTATION, .scope = SCOPE_SOURCE_IP },
    { .name = "dynamic address", .codes = 5, .text = "dynamic|residential|dialup|zombie* ~ ip|host|hosts|address|addresses|ips",
      .cause = CAUSE_PERM_REPUTATION,
      .scope = SCOPE_SOURCE_IP },
    { .name = "sender not authenticated", .text = "spf|dkim|dmarc|ptr|helo|ehlo|rdns|domainkeys|arc / "
      "reverse ~ dns|hostname|name|lookup|record|ptr|mapping / "
      "authentication ~ required|requise|failed|information|check*|not / must ~ authenticate / must issue|use ~ starttls|tls / "
      "starttls|tls|ssl|encryption ~ required|mandatory|needed|must / requires ~ tls|encryption / "
      "unauthenticated / not ~ authenticated / smtp authentication / auth failed / authentification / "
      "certificate ~ not|invalid|expired|untrusted / "
      "username and password / log in / cannot find your / purported responsible / valid sender domain / invalid sender / "
      "sender|emetteur|envelope|mailfrom|from ~ invalid|invalide|verify / not in my domain / verify ~ mailfrom|sender|from / "
      "not allowed to send / "
      "domain of sender ~ not / sender ~ domain ~ not|resolve|exist|found / bad helo / may not be mail exchanger / "
      "not in whitelist / "
      "invalid ip for / invalid dns / ip name lookup failed / sender ~ address rejected / no reverse / no ptr / "
      "missing ~ reverse|ptr / "
      "not aligned / isnt aligned / reverse", .unless = "argument / listed in / syntax / sender address rejected improper / "
      "sequence",
      .cause = CAUSE_AUTH_POLICY, .cause_5yz = CAUSE_PERM_AUTH, .scope = SCOPE_SENDER },
    { .name = "sender not authenticated", .enh = ".7.2*", .cause = CAUSE_AUTH_POLICY, .cause_5yz = CAUSE_PERM_AUTH,
      .scope = SCOPE_SENDER,
      .unless = "unusual|reputation|rate|quota" },
    { .name = "sender not authenticated", .codes = 5, .text = "login|password|credentials / not registered within",
      .enh = ".7.*", .cause = CAUSE_PERM_AUTH, .scope = SCOPE_SENDER, .unless = "denied" },

    { .name = "blocked for a time", .text = "temporarily blocked / blocked for ~ day|hour|hours|minutes / previous errors",
      .unless = "mailbox|user", .cause = CAUSE_REPUTATION, .scope = SCOPE_SOURCE_IP },
    { .name = "reputation", .text = "reputation / suspicious due to ~~ reputation / suspected ~ spam* ~ sender|host / "
      "bad ~ reputation / *abuse / bad ip / dynamic|residential|zombie* ~ ip|host|hosts|address*|ips / black list / "
      "suspicious ~ activity|behaviour|behavior / ip|host|server|network ~ blocked|denied|banned / "
      "banned ~ ip|sender|sending|host|address / "
      "intrusion / ip ~ filtered / filtered ~ connection / sending spam / incident de spam / spamming / "
      "blocked ~~ sender|senders ~ intelligence / connection refused ~ ip / ip ~ is|are|was|has ~ blocked / "
      "block* ~ ip / ont ete bloques / complaints / messages ~ temporarily deferred / message from ip temporarily deferred / "
      "traffic pattern* / virus outbreak / poor reputation / problem occurred ~ ask your postmaster / blocked see",
      .unless = "manually / user entry / due to inactivity", .urls = false, .cause = CAUSE_REPUTATION,
      .cause_5yz = CAUSE_PERM_REPUTATION,
      .scope = SCOPE_SOURCE_IP },
    { .name = "Yahoo: deferred (TS, TSS)", .text = "ts01|ts02|ts03|ts04|tss0*", .cause = CAUSE_REPUTATION,
      .cause_5yz = CAUSE_PERM_REPUTATION, .scope = SCOPE_SOURCE_IP },

    /* ---- the recipient -------------------------------------------------------------------- */
    { .name = "mailbox not verified yet", .codes = 4, .text = "unverified address / verif* ~ in progress / address ~ verification",
      .unless = "user unknown", .cause = CAUSE_MAILBOX_BUSY, .scope = SCOPE_RECIPIENT },
    { .name = "mailbox not usable now", .text = "mailbox|recipient|user|account ~ temporarily|busy|locked|disabled|unavailable|"
      "blocked|inactive / "
      "mailbox|recipient|account ~ not ~ available / recipient error / path no exist / lists users / account is unavailable / "
      "unverified / "
      "temporarily ~ disabled / mailbox ~ disabled / being moved|migrated / mailbox|user|account ~ in use / disabled",
      .unless = "inbounds / relay / sender / license / no such / not found / unknown",
      .cause = CAUSE_MAILBOX_BUSY, .cause_5yz = CAUSE_PERM_MAILBOX, .scope = SCOPE_RECIPIENT },
    { .name = "mailbox not usable now", .codes = 4, .enh = ".2.*", .text = "temporar*|unavailable|busy|problem|error|failure",
      .unless = "service|server|system|rejected|denied",
      .cause = CAUSE_MAILBOX_BUSY, .scope = SCOPE_RECIPIENT },
    { .name = "no route to the recipient's domain", .codes = 5, .text = "domain ~~ not found / host ~ not found / "
      "recipient domain / name server reply / unknown host / host ~ unreachable / route to host / "
      "unrouteable|unroutable / find the recipient domain / "
      "error when resolving / no ~ mx / no valid recipients / host unknown / name or service not known / forwarding recipient / "
      "unable to ~ read ~ forward* / no such domain / domain ~ does not exist", .unless = "sender", .cause = CAUSE_PERM_OTHER,
      .scope = SCOPE_RECIPIENT },
    { .name = "recipient domain not found", .codes = 4, .text = "recipient|rcpt ~~ domain|host ~ not found|resolve",
      .cause = CAUSE_DNS_TEMP,
      .scope = SCOPE_RECIPIENT },
    { .name = "address syntax", .codes = 501, .text = "invalid|bad address / syntax", .cause = CAUSE_PERM_OTHER,
      .scope = SCOPE_MESSAGE },
    { .name = "user unknown", .text = "user|recipient|mailbox|address|addressee|account|alias|email ~ unknown|nonexistent|"
      "unallocated|deactivated|discontinued|terminated|expired|suspended|frozen|inactive|archivee|closed|cancelled|locked / "
      "unknown|invalid|inactive|deactivated|suspended|nonexistent|bad|incorrect ~ user|recipient*|mailbox|address|addresses|"
      "account|local|destinat*|email / "
      "no such|mailbox|account|user|recipient|person ~ user|recipient|mailbox|address|person|account|here|name|alias / "
      "no such user / no user / no mailbox / no ~ account / does|doesnt|dont|not ~ exist|have ~ account / does not exist / "
      "doesnt exist / "
      "user|recipient|mailbox|address|account ~~ does|do|did not exist / not exist / "
      "no longer ~ valid|server|here|works|available|active|accept* / "
      "user|recipient|mailbox|address|account ~ not ~ found|valid|exist|known|recognized|local|listed / mailbox not found / "
      "recipient not found / "
      "not a ~ valid|registered|known|member / is not ~ valid|registered / invalid recipient / recipient ~ invalid|invalide / "
      "destinataire* ~ invalide|inconnu|archivee / inconnu|unbekannt / ^ unknown $ / desconocido|desconhecido / inconnue / "
      "not in recipient list / "
      "lookup in ~ map failed / user doesnt have / isnt a ~ user / disabled / is inactive / "
      "mailbox|account ~ due to inactivity / is now disabled / "
      "recipientnotfound / address ~ rejected $ / person not found / bad ~ recipient / no one|nobody ~ name / customer list / "
      "user not local / has moved / "
      "could not be found / not a user / no|not mail box / not present / usuario ~ no / cannot be verified / not our customer / "
      "badrcptto / no domain / nobody here / marked as invalid / "
      "recipient addresses rejected access denied / recipient address rejected access denied",
      .unless = "sender account / temporarily / temporary / license / command|header|character / invalid sender / "
      "recipient address rejected $ / sender address rejected / inbounds disabled / path no exist / unknown reason",
      .cause = CAUSE_PERM_MAILBOX, .scope = SCOPE_RECIPIENT },

    /* ---- rules of the house ----------------------------------------------------------------- */
    { .name = "relaying denied", .text = "relay* ~ denied|prohibited|not|access|denied|forbidden|rejected / open relay / "
      "unable to relay / "
      "not ~ relay* / relay* / as a relay / not a gateway / not local host / mail relay", .unless = "temporarily denied / "
      "quota|limit",
      .cause = CAUSE_PERM_POLICY, .scope = SCOPE_RECIPIENT },
    { .name = "blocked by country", .text = "geoip / geographic* / countr*", .urls = true, .cause = CAUSE_PERM_POLICY,
      .scope = SCOPE_SOURCE_IP },
    { .name = "sender not wanted", .text = "sender ~ access denied / sender ~ blocked|blacklisted|refused|prohibited / "
      "blocked ~ sender* / not pre approved / "
      "empty|null ~ sender* / dont accept mail from / not accept mail ~ from", .unless = "domain of sender",
      .cause = CAUSE_PERM_POLICY, .scope = SCOPE_SENDER },
    { .name = "recipient does not want it", .text = "not allowed|permitted|authorized / restricted / inbounds disabled / "
      "refused ~ receive|recipient|preferences / "
      "by ~ recipient|user / only accept* / accept* ~ only / recipient preferences / user refused / authorized / "
      "does not accept / not accept* mail / administrative* prohib* / "
      "envelope blocked / blocked senders|sender / block rcpt|send / delivery ~ restricted / resolver rst / no permit / "
      "not permitted / account ~ disabled ~ not registered / "
      "sending denied", .unless = "attachment|content|encoded|character / temporarily / pipeline|parameters",
      .cause = CAUSE_PERM_POLICY, .scope = SCOPE_RECIPIENT },

    /* ---- the message --------------------------------------------------------------------------- */
    { .name = "content doubted for now", .codes = 4, .text = "suspicious / content|virus|spam|scan* ~~ / "
      "milter|scanner|filter|antivirus|amavis*|clam* ~ fail*|error|unavailable|not|timeout / dcc / amavis* / spam filter / "
      "from mta / message ~ blocked",
      .unless = "spammer / bare", .cause = CAUSE_CONTENT_TEMP, .scope = SCOPE_MESSAGE },
    { .name = "content", .codes = 5, .text = "*spam*|infected|malicious|virus|viruses|malware|phish*|junk|ube|bulk / content / "
      "attachment* / scored / message filtered / data refused / mail rejected / mail rejete / "
      "banned content / suspicion / suspicious / illegal / file type*", .unless = "sending spam", .cause = CAUSE_PERM_CONTENT,
      .scope = SCOPE_MESSAGE },

    /* ---- protocol and routing ---------------------------------------------------------------------- */
    { .name = "mail loop", .text = "too many hops|received / hops / mail loop / possible loop / loop* detected / routing loop / "
      "loop* back", .cause = CAUSE_PERM_OTHER,
      .scope = SCOPE_MESSAGE },
    { .name = "protocol", .codes = 5, .text = "syntax / protocol violation / bad sequence / sequence of commands / "
      "command ~ not|unrecognized|unknown / parameter* / "
      "not implemented|recognized|supported / helo argument / out of sequence / unrecognized command / bad command / "
      "pipeline", .cause = CAUSE_PERM_OTHER,
      .scope = SCOPE_CONNECTION },
    { .name = "aborted", .codes = 5, .text = "delivery error / action aborted|not", .cause = CAUSE_PERM_OTHER,
      .scope = SCOPE_RECIPIENT },
    { .name = "gave up", .codes = 5, .text = "expired / config error / configuration error / timed out / timeout / "
      "retry time|timeout / undeliverable|unable to deliver",
      .cause = CAUSE_PERM_OTHER, .scope = SCOPE_HOST },
    { .name = "invalid name", .codes = 5, .text = "invalid ~ domain|address|name / bad address", .cause = CAUSE_PERM_OTHER,
      .scope = SCOPE_MESSAGE },

    /* ---- the server itself ------------------------------------------------------------------------------ */
    { .name = "the connection broke", .codes = 4, .text = "timeout / timed out / lost ~ connection|input / idle / "
      "exceeded allowable / connection expired / "
      "read ~ error|data / reading data / talk faster / bad connection / no data / broken pipe / connection ~ reset / "
      "processing timeout / io error",
      .unless = "map|ldap / sql / target host|remote", .cause = CAUSE_CONGESTION, .scope = SCOPE_CONNECTION },
    { .name = "postscreen's first contact", .codes = 4, .enh = ".3.2", .text = "^ service currently unavailable $",
      .cause = CAUSE_GREYLISTED, .scope = SCOPE_SOURCE_IP },
    { .name = "first contact, in few words", .codes = 4, .text = "^ addr ~ temporar* rejected / "
      "temporar* rejected ~ try again / mail is temporarily denied / "
      "temporarily denied $ / temporarily unable to process ~ email / temporar* rejected ~~ try|come / come back later / "
      "retry|again ~ in|after # sec*|min*|s|m",
      .unless = "relay* / policy / sent / dns|reverse / ^ come back later $ / service|server|system|mailbox|load",
      .phases = AT_MAIL | AT_RCPT | AT_DATA | AT_END,
      .cause = CAUSE_GREYLISTED, .scope = SCOPE_TRIPLET },
    { .name = "first contact, in few words", .codes = 4, .enh = ".7.*", .text = "^ try again later / ^ please try again later / "
      "^ try later / "
      "^ addr recipient address rejected ~ try again", .unless = "closing", .phases = AT_MAIL | AT_RCPT | AT_DATA | AT_END,
      .cause = CAUSE_GREYLISTED, .scope = SCOPE_TRIPLET },
    { .name = "spamd", .codes = 451, .text = "^ temporary failure please try again later $", .phases = AT_RCPT | AT_DATA,
      .cause = CAUSE_GREYLISTED, .scope = SCOPE_TRIPLET },
    { .name = "refused for now", .codes = 4, .text = "service ~ refuse*", .cause = CAUSE_CONGESTION, .scope = SCOPE_PROVIDER },
    { .name = "server in trouble", .codes = 4, .text = "*overload* / load / busy / resource* / maintenance / shutting down / "
      "shutdown / not accepting / "
      "internal ~ error|server|problem / server error / local ~ error|problem|configuration / system ~ error|problem|failure / "
      "database / sql / ldap|map / "
      "slot|slots|capacity / another mx|server|host / high traffic / disk / out of memory / memory / space / queue full|quota / "
      "system full / insufficient / no answer / config* / controls / license / failed to queue / "
      "service ~ unavailable|not|active / not active / server ~ unavailable / temporar* ~ unavailable / "
      "temporarily unavailable / temporary ~ system|server|local|internal|lookup / "
      "system ~ temporar* / unable to ~ contact|accept|figure|write|connect|open / cannot ~ open|bind|write|connect / "
      "error writing / write error / system|disk|log|local|internal ~ failure / upstream / "
      "temporary error / target host / error checking / unexpected / socket / unavailable / not available / "
      "failed to / could not / closing transmission", .unless = "^ service unavailable try again later $",
      .cause = CAUSE_CONGESTION, .scope = SCOPE_HOST },
    { .name = "server in trouble", .codes = 5, .text = "service ~ unavailable / service ~ not available / server error / "
      "overload* / resources / internal error / disk full",
      .cause = CAUSE_CONGESTION, .scope = SCOPE_HOST },
    { .name = "server in trouble", .codes = 4, .enh = ".3.*", .unless = "rejected", .cause = CAUSE_CONGESTION,
      .scope = SCOPE_HOST },

    /* ---- no words that help: the codes ------------------------------------------------------------------- */
    { .name = "status: too many recipients", .codes = 4, .enh = ".5.3", .phases = AT_RCPT, .cause = CAUSE_TOO_MANY_RECIPIENTS,
      .scope = SCOPE_MESSAGE },
    { .name = "status: connection", .codes = 4, .enh = ".4.2", .cause = CAUSE_CONGESTION, .scope = SCOPE_CONNECTION },
    { .name = "status: mailbox full", .enh = ".2.2", .cause = CAUSE_MAILBOX_FULL, .scope = SCOPE_RECIPIENT },
    { .name = "status: size", .enh = ".3.4", .cause = CAUSE_PERM_SIZE, .scope = SCOPE_MESSAGE },
    { .name = "status: sender", .codes = 5, .enh = ".1.7", .cause = CAUSE_PERM_AUTH, .scope = SCOPE_SENDER },
    { .name = "status: sender", .codes = 5, .enh = ".1.8", .cause = CAUSE_PERM_AUTH, .scope = SCOPE_SENDER },
    { .name = "status: address", .codes = 5, .enh = ".1.*", .cause = CAUSE_PERM_MAILBOX, .scope = SCOPE_RECIPIENT },
    { .name = "status: mailbox", .codes = 5, .enh = ".2.1", .cause = CAUSE_PERM_MAILBOX, .scope = SCOPE_RECIPIENT },
    { .name = "status: content", .codes = 5, .enh = ".6.*", .cause = CAUSE_PERM_CONTENT, .scope = SCOPE_MESSAGE },
    { .name = "status: network", .codes = 5, .enh = ".4.*", .cause = CAUSE_PERM_OTHER, .scope = SCOPE_HOST },
    { .name = "status: protocol", .codes = 5, .enh = ".5.*", .cause = CAUSE_PERM_OTHER, .scope = SCOPE_CONNECTION },
    { .name = "status: authentication", .codes = 5, .enh = ".7.8", .cause = CAUSE_PERM_AUTH, .scope = SCOPE_SENDER },
    { .name = "status: authentication", .codes = 5, .enh = ".7.9", .cause = CAUSE_PERM_AUTH, .scope = SCOPE_SENDER,
      .text = "^ rejected" },
    { .name = "code 552", .codes = 552, .cause = CAUSE_MAILBOX_FULL, .scope = SCOPE_RECIPIENT },
    { .name = "code 50z", .codes = 500, .cause = CAUSE_PERM_OTHER, .scope = SCOPE_CONNECTION },
    { .name = "code 501", .codes = 501, .cause = CAUSE_PERM_OTHER, .scope = SCOPE_MESSAGE },
    { .name = "code 503", .codes = 503, .cause = CAUSE_PERM_OTHER, .scope = SCOPE_CONNECTION },
    { .name = "code 530", .codes = 530, .cause = CAUSE_PERM_AUTH, .scope = SCOPE_SENDER },
    { .name = "code 535", .codes = 535, .cause = CAUSE_PERM_AUTH, .scope = SCOPE_SENDER },
    { .name = "a refusal without a reason", .codes = 5, .cause = CAUSE_PERM_POLICY, .scope = SCOPE_MESSAGE },
    { .name = "a deferral without a reason", .phases = AT_DOOR, .cause = CAUSE_UNKNOWN_TEMP, .scope = SCOPE_HOST },
    { .name = "a farewell without a reason", .codes = 421, .cause = CAUSE_UNKNOWN_TEMP, .scope = SCOPE_HOST },
    { .name = "a deferral without a reason", .cause = CAUSE_UNKNOWN_TEMP, .scope = SCOPE_MESSAGE },
};
const size_t rules_count = sizeof(rules) / sizeof(rules[0]);

const struct scope_rule scope_rules[] = {
    { { CAUSE_RATE_LIMITED }, NULL, 0, "recipient has|is|exceeded / recipient ~ exceeded|receiving / addr too many recent / "
      "account|user ~~ is receiving", "sender has",
      SCOPE_RECIPIENT },
    { { CAUSE_RATE_LIMITED }, NULL, 0, "per session / this connection|session / goodbye|bye / "
      "too many errors|bad|unrecognized|syntax|commands ~ $", "from", SCOPE_CONNECTION },
    { { CAUSE_RATE_LIMITED }, NULL, 0, "sender ip / sending ip / ip has|frequency / this ip / your ip", NULL, SCOPE_SOURCE_IP },
    { { CAUSE_RATE_LIMITED }, NULL, 0, "sender|user|customer|account|credits|login|quota|domain / "
      "maximum ~ sending", NULL, SCOPE_SENDER },
    { { CAUSE_REPUTATION, CAUSE_PERM_REPUTATION }, NULL, 0, "on this connection", NULL, SCOPE_CONNECTION },
    { { CAUSE_REPUTATION, CAUSE_PERM_REPUTATION }, NULL, 0,
      "reputation of ~ domain / ^ domain ~ reputation / domain ~ has ~ reputation / mailfrom domain / sender refused / "
      "*domain ~ listed / suspected ~ sender / from domain / sender domain", "ip address", SCOPE_SENDER },
    { { CAUSE_TOO_MANY_CONNECTIONS }, NULL, 0, "resource forest / organization / tenant / this domain", NULL, SCOPE_PROVIDER },
    { { CAUSE_TOO_MANY_CONNECTIONS }, NULL, 0, "at this time", NULL, SCOPE_HOST },
    { { CAUSE_TOO_MANY_CONNECTIONS }, " m365-relay google-relay amazon-ses-relay sendgrid-relay ", 0, NULL, NULL, SCOPE_SENDER },
    { { CAUSE_TOO_MANY_CONNECTIONS }, NULL, 0, "sender|user", NULL, SCOPE_SENDER },
    { { CAUSE_GREYLISTED }, NULL, AT_DOOR, NULL, NULL, SCOPE_SOURCE_IP },
    { { CAUSE_AUTH_POLICY, CAUSE_PERM_AUTH }, NULL, 0, "tls|starttls|ssl|encrypt*", "certificate", SCOPE_CONNECTION },
    { { CAUSE_AUTH_POLICY, CAUSE_PERM_AUTH }, NULL, 0, "spf|dkim|dmarc ~~", "ptr", SCOPE_SENDER },
    { { CAUSE_AUTH_POLICY, CAUSE_PERM_AUTH, CAUSE_DNS_TEMP }, NULL, 0,
      "reverse|ptr|rdns|hostname|certificate|helo|ehlo|whitelist / client host|ip|address / name lookup / ip address ~ not / "
      "from servers / mail exchanger / "
      "dns nr / ^ dns check / invalid ip / for your ip / ip name / host ~ resolve*", NULL, SCOPE_SOURCE_IP },
    { { CAUSE_DNS_TEMP }, NULL, 0, "recipient", "sender", SCOPE_RECIPIENT },
    { { CAUSE_DNS_TEMP }, NULL, 0, "destination domain / temporary server", NULL, SCOPE_HOST },
    { { CAUSE_PERM_POLICY }, NULL, 0, "message not allowed|accepted", NULL, SCOPE_MESSAGE },
    { { CAUSE_PERM_POLICY }, NULL, 0, "client host / bypassing / ip ~ blacklisted / insecure mail relay / "
      "as a relay", NULL, SCOPE_SOURCE_IP },
    { { CAUSE_PERM_POLICY }, NULL, 0, "sender|senders|send er / envelope blocked / sending denied", NULL, SCOPE_SENDER },
    { { CAUSE_PERM_POLICY }, NULL, 0, "hostname ~ not", NULL, SCOPE_HOST },
    { { CAUSE_PERM_POLICY }, NULL, 0, "inbounds", NULL, SCOPE_PROVIDER },
    { { CAUSE_PERM_POLICY }, NULL, 0, "recipient address rejected / addr ~ rejected", NULL, SCOPE_RECIPIENT },
    { { CAUSE_PERM_SIZE }, NULL, 0, "recipient", NULL, SCOPE_RECIPIENT },
    { { CAUSE_PERM_OTHER }, NULL, 0, "config* error / dns query / connection refused", NULL, SCOPE_HOST },
    { { CAUSE_CONGESTION }, NULL, 0, "recipient|address|upstream", "ip|our", SCOPE_RECIPIENT },
    { { CAUSE_CONGESTION }, NULL, 0, "license|organization|evaluation", NULL, SCOPE_PROVIDER },
    { { CAUSE_MAILBOX_BUSY, CAUSE_MAILBOX_FULL, CAUSE_PERM_MAILBOX }, NULL, 0, NULL, NULL, SCOPE_RECIPIENT },
};
const size_t scope_rules_count = sizeof(scope_rules) / sizeof(scope_rules[0]);
