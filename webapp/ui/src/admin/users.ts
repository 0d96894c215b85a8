import type { Api } from "../api";
import { ask } from "../dialog";
import { element } from "../element";
import { account } from "../session";
import { rowButton, table } from "../table";
import type { ApiKey, Role, User } from "../wire";
import { ago, moment } from "../words";

/** All accounts and everybody's keys, with what an administrator can do about them; `again` asks for them anew. */
export function usersAndKeys(api: Api, users: User[], keys: ApiKey[], again: () => Promise<void>): HTMLElement[] {
  const names = new Map(users.map((user) => [user.user_id, user.name]));
  const people = users.map((user) => [user.name, roleName(user.role), moment(user.created_at), actions(user)]);
  const all = keys.map((key) => [
    key.label,
    names.get(key.user_id) ?? "",
    key.last_used_at === null ? "never" : ago(key.last_used_at),
    rowButton("trash", "Delete", `the key ${key.label}`, () => removeKey(key)),
  ]);
  return [
    table(["Name", "Role", "Since"], people),
    element("h3", {}, "Keys for scripts"),
    keys.length === 0
      ? element("p", { class: "soft" }, "Nobody has a key.")
      : table(["For", "Whose", "Last used"], all),
  ];

  /** Nobody takes the service away from themselves by accident. */
  function actions(user: User): HTMLElement {
    if (user.name === account.value?.name) return element("span", { class: "soft" }, "you");
    return element(
      "div",
      { class: "row row-end" },
      rowButton(null, "Change", user.name, () => change(user)),
      rowButton("trash", "Remove", user.name, () => remove(user)),
    );
  }

  function change(user: User): void {
    const role = element(
      "select",
      { id: "change-role", class: "input" },
      ...(["user", "admin"] as const).map((value) =>
        element("option", { value, selected: value === user.role }, roleName(value)),
      ),
    );
    const password = element("input", {
      id: "change-password",
      class: "input",
      type: "password",
      minlength: 8,
      autocomplete: "new-password",
      placeholder: "Stays as it is",
    });
    void ask({
      title: `Change ${user.name}`,
      text: element(
        "div",
        { class: "stack" },
        field("Role", role),
        field("New password (8 characters or more)", password),
        element("p", { class: "soft" }, "A new password signs this user out everywhere."),
      ),
      action: "Change",
      act: async () => {
        const changes: { role: Role; password?: string } = { role: role.value as Role };
        if (password.value !== "") changes.password = password.value;
        await api.changeUser(user.user_id, changes);
      },
    }).then(after);
  }

  function remove(user: User): void {
    void ask({
      title: `Remove ${user.name}?`,
      text: "This user is signed out everywhere and their keys stop working. Their jobs stay, for administrators to look after.",
      action: "Remove",
      danger: true,
      act: () => api.removeUser(user.user_id),
    }).then(after);
  }

  function removeKey(key: ApiKey): void {
    void ask({
      title: `Delete the key “${key.label}” of ${names.get(key.user_id) ?? "somebody"}?`,
      text: "Programs that use it can no longer reach the service.",
      action: "Delete",
      danger: true,
      act: () => api.removeAnyKey(key.key_id),
    }).then(after);
  }

  function after(done: boolean): void {
    if (done) void again();
  }
}

function roleName(role: Role): string {
  return role === "admin" ? "Administrator" : "User";
}

function field(label: string, input: HTMLElement): HTMLElement {
  return element("div", { class: "field" }, element("label", { for: input.id }, label), input);
}
