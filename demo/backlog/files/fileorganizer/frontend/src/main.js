document.querySelector("#app").textContent = "Nothing to sort yet.";
