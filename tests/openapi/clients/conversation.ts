// A conversation with the generated TypeScript client. Arguments: URL, and the password of thea and uma.

import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

declare const process: { argv: string[] };
const [, , baseUrl, password] = process.argv;

function check(condition: boolean, rule: string): asserts condition {
  if (!condition) throw new Error(rule);
}

async function logIn(username: string) {
  const anyone = createClient<paths>({ baseUrl });
  const { data, error } = await anyone.POST("/api/auth/login", { body: { username, password: password ?? "" } });
  if (error) throw new Error(error.code);
  return createClient<paths>({ baseUrl, headers: { Authorization: `${data.token_type} ${data.token}` } });
}

const thea = await logIn("thea");
const uma = await logIn("uma");

const sent = await thea.POST("/api/messages/send", {
  body: { recipient: "uma", content: "How are you?" },
  params: { header: { "Idempotency-Key": "first" } },
});
check(sent.data?.status === "sent", "a message can be sent");
const message_id = sent.data.message_id;

const inbox = await uma.GET("/api/messages/inbox", { params: { query: { limit: 10, unread_only: true } } });
check(inbox.data?.conversations[0]?.with_user === "thea", "the inbox lists the sender");
check(inbox.data.total_unread === 1, "the message is unread");

const params = { path: { username: "thea" } };
const conversation = await uma.GET("/api/messages/conversation/{username}", { params });
check(conversation.data?.messages[0]?.content === "How are you?", "the conversation shows the message");
check(conversation.data.messages[0].subject === null, "a message without a subject has null");

const read = await uma.PATCH("/api/messages/{message_id}/read", { params: { path: { message_id } } });
check(read.data?.is_read === true, "the message is marked as read");

const deleted = await uma.DELETE("/api/messages/{message_id}", { params: { path: { message_id } } });
check(deleted.response.status === 204 && deleted.error === undefined, "the message is deleted");

const again = await uma.DELETE("/api/messages/{message_id}", { params: { path: { message_id } } });
check(again.error?.code === "message_not_found", "a deleted message is not found");

const refused = await uma.GET("/api/messages/admin/audit");
check(refused.error?.code === "admin_only", "the audit is for admins");
