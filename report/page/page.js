"use strict";
// Shows only the rows with a status and a text. Without it the page has all of them.
(() => {
	const find = document.getElementById("find"), status = document.getElementById("find-status");
	const text = document.getElementById("find-text"), found = document.getElementById("find-found");
	const plain = s => s.toLowerCase().replace(/[\s,-]/g, "");
	const rows = [...document.querySelectorAll("[data-status]")].map(row => ({row, text: plain(row.textContent)}));
	const show = () => {
		const wanted = plain(text.value);
		let n = 0;
		for (const {row, text} of rows) {
			row.hidden = status.value !== "" && row.dataset.status !== status.value || !text.includes(wanted);
			n += row.hidden ? 0 : 1;
		}
		for (const group of document.querySelectorAll("[data-group]")) {
			group.hidden = !group.querySelector("[data-status]:not([hidden])");
		}
		found.textContent = find.dataset.found.replace("{n}", n).replace("{all}", rows.length);
	};
	status.addEventListener("change", show);
	text.addEventListener("input", show);
	find.hidden = rows.length === 0;
	show();
})();
