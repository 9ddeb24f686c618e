// Signs up, signs in, reads the own account, and reads an error, with the generated types.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

const client = createClient<paths>({ baseUrl: process.argv[2] ?? "" });
const password = "correct horse battery staple";

const account: components["schemas"]["UserCreate"] = { email: "typescript@example.com", password };
const created = await client.POST("/api/v1/users", { body: account });
if (created.data === undefined) throw new Error(created.error.detail);

const signedIn = await client.POST("/api/v1/auth/token", {
  body: { username: account.email, password },
  headers: { "Content-Type": "application/x-www-form-urlencoded" },
});
if (signedIn.data === undefined) throw new Error(signedIn.error.detail);

const headers = { Authorization: `Bearer ${signedIn.data.access_token}` };
const me = await client.GET("/api/v1/users/me", { headers });
if (me.data?.email !== account.email) throw new Error("somebody else has signed in");

const invalid = await client.POST("/api/v1/users", { body: { email: "nobody", password } });
const problem: components["schemas"]["ValidationProblem"] | components["schemas"]["Problem"] | undefined =
  invalid.error;
if (problem === undefined || !("errors" in problem)) throw new Error("nothing was invalid");
const field: components["schemas"]["InvalidField"] | undefined = problem.errors[0];
if (field === undefined || !("pointer" in field) || field.pointer !== "/email") {
  throw new Error("another field is invalid");
}

// The compiler knows the values of `sort`.
await client.GET("/api/v1/users", { headers, params: { query: { sort: "-created_at" } } });
