"""How texts say what an enum, a flag or a pastime is."""

from __future__ import annotations

LISTS = {
    "hobbies": "hobby",
    "people": "name",
    "colors": "color",
    "things": "thing",
    "cities": "city",
    "topics": "topic",
    "foods": "food",
    "skills": "skill",
}
ENUMS: dict[str, dict[str, list[str]]] = {
    "order_status": {
        "pending": ["is still pending", "is pending", "has not been handled yet"],
        "shipped": ["has been shipped", "was shipped", "is shipped", "is on its way", "went out"],
        "delivered": ["was delivered", "has been delivered", "is delivered", "has arrived"],
        "cancelled": ["was cancelled", "has been cancelled", "is cancelled", "was called off"],
        "returned": ["was returned", "has been returned", "came back"],
    },
    "state": {
        "open": ["is open", "is still open", "remains open"],
        "closed": ["is closed", "has been closed", "was closed"],
        "blocked": ["is blocked", "is stuck", "remains blocked"],
        "done": ["is done", "is finished", "has been completed"],
    },
    "level": {
        "low": ["has low priority", "can wait", "is not urgent", "is low priority"],
        "medium": ["has medium priority", "is of medium priority", "should be fixed soon"],
        "high": ["has high priority", "is urgent", "is high priority", "cannot wait"],
        "critical": ["is critical", "is of critical priority"],
    },
    "size": {
        "small": ["is small", "comes in small", "is a small one"],
        "medium": ["is medium", "comes in medium", "is medium-sized"],
        "large": ["is large", "comes in large", "is a large one"],
    },
    "mood": {
        "positive": ["was great", "was a pleasure", "is positive", "was wonderful", "I loved it"],
        "negative": ["was awful", "was a let-down", "is negative", "was terrible", "I hated it"],
        "neutral": ["was okay", "is neutral", "was neither good nor bad"],
    },
}
FLAGS: dict[str, dict[bool, list[str]]] = {
    "paid": {
        True: ["has been paid", "is paid", "was paid in full", "has already been settled"],
        False: ["has not been paid", "is unpaid", "is not paid yet", "is still to be paid"],
    },
    "in_stock": {
        True: ["is in stock", "is available", "can be had at once", "is available again"],
        False: ["is out of stock", "is sold out", "is not available", "is currently unavailable"],
    },
    "included": {
        True: ["is included", "comes with it", "is part of the price", "is wanted"],
        False: ["is not included", "is not wanted", "costs extra", "is not needed"],
    },
    "yes": {
        True: ["is true", "yes", "applies", "is on", "is active", "was confirmed"],
        False: ["is false", "no", "does not apply", "is off", "is not active", "was denied"],
    },
    "married": {
        True: ["is married", "has a wife", "has a husband", "got married last year"],
        False: ["is single", "is not married", "is unmarried", "has never married"],
    },
    "remote": {
        True: ["can be done from home", "is fully remote", "is remote", "is a remote job"],
        False: ["is on site", "cannot be done from home", "is not remote", "is office-based"],
    },
}
ACTS = (
    ("play", "plays"),
    ("play", "plays"),
    ("go", "goes"),
    ("do", "does"),
    ("practise", "practises"),
    ("love", "loves"),
    ("teach", "teaches"),
    ("study", "studies"),
    ("watch", "watches"),
    ("try", "tries"),
    ("enjoy", "enjoys"),
    ("like", "likes"),
)
