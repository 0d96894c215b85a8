import { Api } from "./api";
import { element, fill } from "./element";
import { accountPage } from "./pages/account";
import { adminPage } from "./pages/admin";
import { jobPage } from "./pages/job";
import { jobsPage } from "./pages/jobs";
import { missingPage } from "./pages/missing";
import { signInDialog } from "./pages/sign-in";
import { uploadPage } from "./pages/upload";
import { follow, type Page, type Place } from "./router";
import { account, renew } from "./session";
import { shell } from "./shell";
import { Transfers } from "./upload/transfers";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/notices.css";
import "./styles/shell.css";
import "./styles/jobs.css";
import "./styles/upload.css";

const api = new Api();
const transfers = new Transfers(api);

const TITLES: Record<string, string | undefined> = {
  jobs: "Jobs",
  upload: "New job",
  account: "Account",
  admin: "Service",
};

function titled(title: string | undefined, page: Page): Page {
  return (main, place) => {
    document.title = title === undefined ? "reconflow" : `${title} – reconflow`;
    return page(main, place);
  };
}

function pageAt([name = "jobs", ...rest]: Place): Page {
  if (name === "jobs" && rest.length > 0) return jobPage(api);
  const pages: Record<string, Page> = {
    jobs: jobsPage(api, transfers),
    upload: uploadPage(api, transfers),
    account: accountPage(api),
    ...(account.value?.role === "admin" ? { admin: adminPage(api) } : {}),
  };
  return titled(TITLES[name], pages[name] ?? missingPage);
}

/** Shows pages while somebody is signed in. A session that runs out leaves the page as it is, below the sign-in. */
function begin(target: HTMLElement): void {
  const dialog = signInDialog();
  let shown: { name: string; end(): void } | null = null;
  account.watch((who) => {
    if (who === null) {
      dialog.open(shown !== null);
      return;
    }
    dialog.close();
    if (shown?.name === who.name) return;
    shown?.end();
    const frame = shell(target, transfers);
    const leave = follow(frame.main, pageAt);
    shown = {
      name: who.name,
      end(): void {
        leave();
        frame.end();
      },
    };
  });
}

async function start(): Promise<void> {
  const target = document.getElementById("page");
  if (target === null) return;
  fill(target, element("p", { class: "starting", role: "status" }, "Loading …"));
  for (;;) {
    try {
      await renew();
      break;
    } catch {
      fill(target, element("p", { class: "starting", role: "alert" }, "The service cannot be reached. Trying again …"));
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
  fill(target);
  begin(target);
}

void start();
