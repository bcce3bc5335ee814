"""Kinds of lines in the ledgers. Every line has `kind` and `at` (epoch seconds, by the clock of the load's machine).

| kind | fields | written when |
|---|---|---|
| call | path, seconds, attempts, bad | a request was answered in the end; `bad` counts other answers before that |
| gave_up | path, seconds, bad | a request used up the tries of the protocol's client |
| wrong | path, status, text | an answer that is neither a success, nor expected, nor to be tried again |
| schedule | id, deployment, period, anchor, name | a schedule exists (slots: anchor + n * period) |
| pausing | deployment | slots of its schedule from now on are not wanted any more |
| created | id | a run was asked for and acknowledged |
| moved | id, state, type, process | a proposed state was accepted |
| worker_beat | process | a worker's heartbeat was acknowledged, or answered by a pong |
| begin | id, attempt, worker, process | the body of a run begins; attempt = id of its Running state |
| end | id, attempt, outcome | the body of a run is over |
| died | id, worker, when | the process that had a run is gone and will never say anything again |
| froze, thawed | id, worker, when | it stands still for a while, then goes on as if nothing had happened |
| finished | id, type | a final state was accepted |
| beat | id | a heartbeat of a run was acknowledged |
| cancel | id, status, type | a cancellation was asked for and answered |
| event, log, task | id / message / id | acknowledged |
| stream | id | an event of the ordered stream was acknowledged |
| seen | id, sub | a subscriber received an event |
| subscribed, cut | sub, code | a subscriber's connection began, ended |
| clean_close | where, code | a server closed with 1000 or 1001: the protocol's client would not come back |
| refused_upgrade | where, status | a websocket was refused: the protocol's client would not come back |
| hook | key, invocation, answer | a webhook came and was answered so |
| delayed | id | a background task was acknowledged |
| given | id, connection | a task worker received and acknowledged it |
| lasted | connection | a connection of a task worker was still there two seconds later |
| taken, returned, lost | id | a lease was taken, given back, found gone at renewal |
| prey | id | a run that an automation is to cancel |
| phase | name | the load begins, asks for nothing new, ends |
"""
