// All that these pages do can be done without this script. It watches a file under way, and takes files that are dropped.
"use strict";

// What is under way is asked for again; once it is over, its page is another one.
for (const live of document.querySelectorAll("[data-live]")) {
	let pause = 1000;
	const look = async () => {
		try {
			const answer = await fetch(live.dataset.live, { redirect: "manual", cache: "no-store" });
			if (answer.status !== 200) {
				if (answer.status === 204 || answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 404) {
					location.reload(); // it is over, or somebody has to sign in
					return;
				}
				throw new Error(answer.status);
			}
			const text = await answer.text();
			if (live.innerHTML.trim() !== text.trim()) {
				live.innerHTML = text; // from the server's own template
			}
			pause = 1000;
		} catch {
			pause = Math.min(2 * pause, 15000); // the server is away for a moment
		}
		setTimeout(look, pause);
	};
	setTimeout(look, pause);
}

// A file is sent with its progress, and may be dropped on the form.
for (const form of document.querySelectorAll("[data-upload]")) {
	const input = form.querySelector("input[type=file]");
	const told = form.querySelector("[data-status]");
	const zone = form.querySelector(".drop");
	for (const kind of ["dragover", "dragleave", "drop"]) {
		zone.addEventListener(kind, (event) => {
			event.preventDefault();
			zone.classList.toggle("over", kind === "dragover");
			if (kind === "drop" && event.dataTransfer.files.length > 0) {
				input.files = event.dataTransfer.files;
			}
		});
	}
	form.addEventListener("submit", (event) => {
		event.preventDefault();
		const button = form.querySelector("button");
		button.disabled = true;
		const request = new XMLHttpRequest();
		request.open("POST", form.action);
		request.upload.onprogress = (progress) => {
			if (progress.lengthComputable) {
				told.textContent = form.dataset.sending.replace("{n}", Math.floor(100 * progress.loaded / progress.total) + " %");
			}
		};
		request.onload = () => {
			if (request.status === 200) {
				location.assign(request.responseURL);
				return;
			}
			document.open();
			document.write(request.responseText);
			document.close();
		};
		request.onerror = () => {
			told.textContent = form.dataset.failed;
			button.disabled = false;
		};
		request.send(new FormData(form));
	});
}

// A second click sends nothing twice.
for (const form of document.querySelectorAll("form[method=post]:not([data-upload])")) {
	form.addEventListener("submit", () => setTimeout(() => {
		for (const button of form.querySelectorAll("button")) {
			button.disabled = true;
		}
	}));
}
window.addEventListener("pageshow", () => {
	for (const button of document.querySelectorAll("button:disabled")) {
		button.disabled = false;
	}
});
