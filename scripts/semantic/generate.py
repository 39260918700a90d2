#!/usr/bin/env python3
"""Pairs that the verifier is fitted on, and a stream of look-alikes that it is measured on. All of it is made here, of words and
phrasings of our own; nothing of shared/testdata is used. The same seed makes the same lines.

    generate.py pairs  [--seed N] > pairs.jsonl    {"a", "b", "label", "kind", "family"}
    generate.py stream [--seed N] > stream.jsonl   {"text", "intent", "kind"}: one answer serves the lines of one intent

An *intent* is a family (several ways to ask one thing), one of its variants (what is asked: its opposite, another property) and what fills
its slots. Two questions of one intent have the same answer; of two intents of one family, they look alike and do not. Families for fitting
and for the stream are different, so that what is measured was not learned.
"""
import argparse, itertools, json, random

# Slots: name -> (kind of look-alike when only it differs, what fills it)
SLOTS = {
    "city": ("entity", "Lisbon Prague Oslo Nairobi Lima Seattle Krakow Hanoi Dublin Montreal Bogota Helsinki".split()),
    "land": ("entity", "Portugal Chile Morocco Vietnam Poland Ghana Peru Iceland Nepal Uruguay Ireland Malaysia".split()),
    "person": ("entity", ["Nikola Tesla", "Rosa Parks", "Johannes Kepler", "Emmy Noether", "Frida Kahlo", "Niels Bohr", "Simone Weil", "Jane Goodall"]),
    "work": ("entity", ["Moby Dick", "Don Quixote", "Middlemarch", "Jane Eyre", "The Odyssey", "Anna Karenina", "Dracula", "Frankenstein"]),
    "firm": ("entity", "Toyota Siemens Nestle Airbus Samsung Volvo Unilever Bosch Adidas Philips".split()),
    "illness": ("entity", "scurvy gout shingles psoriasis tuberculosis malaria measles anemia bronchitis eczema".split()),
    "animal": ("entity", "otter falcon badger salamander octopus hedgehog walrus lynx beaver heron".split()),
    "plant": ("entity", "basil tomato lavender rosemary zucchini hydrangea strawberry orchid pepper fern".split()),
    "dish": ("entity", "risotto paella goulash ramen moussaka lasagna pierogi tiramisu falafel curry".split()),
    "metal": ("entity", "zinc cobalt titanium lithium nickel tungsten platinum magnesium".split()),
    "algo": ("entity", ["quicksort", "radix sort", "Dijkstra's algorithm", "the sieve of Eratosthenes", "bubble sort", "A* search", "union find", "k-means"]),
    "store": ("entity", "Cassandra Memcached CouchDB Neo4j InfluxDB Snowflake ClickHouse etcd".split()),
    "tool": ("entity", "Terraform Ansible Jenkins Grafana Prometheus Nginx Vault Consul Helm Traefik".split()),
    "topic": ("entity", ["photosynthesis", "inflation", "plate tectonics", "osmosis", "entropy", "natural selection", "supply chains", "black holes", "the water cycle", "magnetism"]),
    "pet": ("entity", "hamster parrot rabbit tortoise goldfish ferret iguana canary".split()),
    "lang": ("proglang", "Scala Haskell Perl PHP Elixir Julia Lua Dart Clojure Fortran".split()),
    "tongue": ("lang", "Finnish Czech Hindi Greek Swedish Hungarian Vietnamese Arabic Norwegian Romanian".split()),
    "n": ("number", "3 4 6 8 9 12 14 18 24 30 36 45 60 75 90 120 144 240 300 512".split()),
    "m": ("number", "2 4 5 6 7 9 11 13 16 21 32 40 55 80 150 220 350 600".split()),
    "words": ("number", "two three four five six seven eight nine eleven twelve".split()),
    "code": ("number", "301 302 304 405 406 410 415 418 422 451 501 505 507".split()),
    "version": ("number", "1.2 1.4 2.0 2.1 2.7 3.0 3.3 3.9 3.10 4.1 4.2".split()),
    "year": ("date", "1905 1914 1945 1969 1977 1984 1989 2001 2005 2010 2014 2017".split()),
    "month": ("date", "February April May July August October November".split()),
    "day": ("date", "Monday Tuesday Wednesday Thursday Friday Saturday".split()),
    "fn": ("identifier", "`read_header` `mergeIntervals` `mergeintervals` `open_socket` `split_batch` `init_cache` `drain_pool` `parse_url` `getToken` `get_token` `next_frame`".split()),
    "err": ("identifier", "ENOENT EPERM EMFILE ENOSPC EBUSY EAGAIN ENOTDIR EISDIR ECONNABORTED".split()),
    "flag": ("identifier", "--verbose --dry-run --force --no-cache --workers --log-level --timeout --retries".split()),
    "path": ("identifier", "src/parser src/lexer lib/cache_core lib/cache_disk cmd/server cmd/agent".split()),
    "model": ("identifier", "X100 X200 T14 T16 A52 A54 M2 M3".split()),
    "format": ("format", "JSON YAML CSV XML Markdown HTML TOML".split()),
    "phrase": ("quote", ['"see you soon"', '"never mind"', '"good luck"', '"where is the station"', '"happy birthday"', '"I am lost"', '"break a leg"']),
    "mass": ("unit", "kilograms ounces grams tons pounds stones".split()),
    "size": ("unit", "yards inches centimeters millimeters feet".split()),
    "coin": ("unit", "CHF SEK NOK JPY CAD AUD PLN".split()),
}
# Two of one pool, in an order that matters.
PAIRED = {"city2": "city", "lang2": "lang", "format2": "format", "mass2": "mass", "coin2": "coin", "tool2": "tool", "store2": "store", "tongue2": "tongue", "size2": "size", "metal2": "metal", "animal2": "animal"}

# (family, look-alike kind between variants, {variant: [phrasings]})
FIT = [
    ("place", "aspect", {
        "people": ["How many residents does {city} have?", "What is the population of {city}?", "Number of people living in {city}", "How large is {city}'s population?"],
        "area": ["What area does {city} cover?", "How big is {city} by area?", "Surface area of {city}"],
        "mayor": ["Who is the mayor of {city}?", "What is the name of {city}'s mayor?", "Name the mayor of {city}."],
        "food": ["Which dishes is {city} famous for?", "What are typical dishes of {city}?"],
        "weather": ["What is the climate of {city} like?", "Describe the climate in {city}.", "What kind of climate does {city} have?"],
    }),
    ("country", "aspect", {
        "capital": ["What's the capital of {land}?", "Capital city of {land}?", "Name the capital of {land}.", "Which city is {land}'s capital?"],
        "currency": ["What currency is used in {land}?", "Which currency does {land} use?", "Name the currency of {land}."],
        "president": ["Who is the president of {land}?", "Name the president of {land}.", "What is the name of {land}'s president?"],
        "history": ["Give me the history of {land}.", "Summarize the history of {land}.", "Overview of {land}'s history"],
    }),
    ("life", "aspect", {
        "born": ["When was {person} born?", "What is {person}'s date of birth?", "On what date was {person} born?", "{person} birth date"],
        "died": ["When did {person} die?", "What is the date of death of {person}?", "On which date did {person} die?"],
        "where": ["Where was {person} born?", "What is the birthplace of {person}?"],
        "bio": ["Give me a biography of {person}.", "Tell me the life story of {person}.", "Describe the life of {person}."],
    }),
    ("book", "aspect", {
        "author": ["Who wrote {work}?", "Who is the author of {work}?", "Name the author of {work}."],
        "plot": ["Summarize the plot of {work}.", "What happens in {work}?", "Give me a plot summary of {work}."],
        "theme": ["What are the main themes of {work}?", "Explain the themes in {work}.", "Which themes does {work} have?"],
        "people": ["Who are the main characters in {work}?", "List the main characters of {work}."],
    }),
    ("company", "aspect", {
        "founder": ["Who founded {firm}?", "Who is the founder of {firm}?", "Name the founder of {firm}."],
        "when": ["When was {firm} founded?", "In what year was {firm} established?", "What year was {firm} founded?"],
        "where": ["Where is {firm} headquartered?", "Where are the headquarters of {firm} located?", "Location of {firm} headquarters"],
        "revenue": ["What was {firm}'s revenue in {year}?", "How much revenue did {firm} have in {year}?", "{firm} revenue in {year}"],
        "profit": ["What was {firm}'s profit in {year}?", "How much profit did {firm} make in {year}?"],
    }),
    ("health", "aspect", {
        "signs": ["What are the symptoms of {illness}?", "What are the signs of {illness}?", "List common symptoms of {illness}.", "How do I recognize {illness}?"],
        "cure": ["How is {illness} treated?", "What treatments exist for {illness}?", "What is the treatment for {illness}?"],
        "cause": ["What causes {illness}?", "What is the cause of {illness}?", "Why do people get {illness}?"],
        "avoid": ["How can I prevent {illness}?", "How do I prevent {illness}?", "What are ways of preventing {illness}?"],
    }),
    ("pets", "aspect", {
        "food": ["What should I feed my {pet}?", "Best food for a {pet}", "What does a {pet} eat?"],
        "life": ["How long does a {pet} live?", "What is the lifespan of a {pet}?", "Life expectancy of a {pet}"],
        "cage": ["What cage does a {pet} need?", "Which cage is suitable for a {pet}?"],
    }),
    ("garden", "aspect", {
        "water": ["How often should I water {plant}?", "How frequently does {plant} need watering?", "Watering frequency for {plant}"],
        "plant": ["When should I plant {plant}?", "What is the right time for planting {plant}?", "When is {plant} planted?"],
        "prune": ["How do I prune {plant}?", "How to prune {plant}", "Show me how {plant} is pruned."],
        "harvest": ["When do I harvest {plant}?", "What is the right time to harvest {plant}?"],
    }),
    ("kitchen", "modifier", {
        "plain": ["How do I make {dish}?", "Give me a recipe for {dish}.", "{dish} recipe", "What is the recipe for {dish}?"],
        "vegan": ["How do I make vegan {dish}?", "Give me a vegan recipe for {dish}.", "Vegan {dish} recipe"],
        "spicy": ["How do I make spicy {dish}?", "Give me a recipe for spicy {dish}."],
        "people": ["Recipe for {dish} for {n} people", "How do I make {dish} for {n} people?", "Give me a {dish} recipe that serves {n} people."],
    }),
    ("metal", "aspect", {
        "melt": ["What is the melting point of {metal}?", "At what temperature does {metal} melt?", "Melting point of {metal}?"],
        "boil": ["What is the boiling point of {metal}?", "Boiling point of {metal}?"],
        "density": ["What is the density of {metal}?", "How dense is {metal}?"],
        "price": ["How much does {metal} cost?", "What is the price of {metal}?", "Price of {metal}"],
    }),
    ("algorithms", "aspect", {
        "explain": ["How does {algo} work?", "Explain {algo}.", "Can you explain how {algo} works?", "Describe {algo}.", "Explain the way {algo} works."],
        "cost": ["What is the time complexity of {algo}?", "Time complexity of {algo}?", "Tell me the time complexity of {algo}."],
        "code": ["Implement {algo} in {lang}.", "Write {lang} code for {algo}.", "Show me {algo} implemented in {lang}.", "{lang} implementation of {algo}"],
    }),
    ("setup", "antonym", {
        "install": ["How do I install {tool} on Ubuntu?", "Installing {tool} on Ubuntu", "What are the steps to install {tool} on Ubuntu?", "Guide to setting up {tool} on Ubuntu"],
        "uninstall": ["How do I uninstall {tool} on Ubuntu?", "What are the steps to uninstall {tool} on Ubuntu?"],
        "upgrade": ["How do I upgrade {tool} on Ubuntu?", "What are the steps to upgrade {tool} on Ubuntu?"],
        "mac": ["How do I install {tool} on macOS?", "Installing {tool} on macOS"],
    }),
    ("databases", "antonym", {
        "backup": ["How do I back up {store}?", "How to make a backup of {store}", "What is the way to back up {store}?", "Steps to back up {store}"],
        "restore": ["How do I restore {store}?", "How to restore {store}", "Steps to restore {store}"],
        "start": ["How do I start {store}?", "How to start {store}"],
        "stop": ["How do I stop {store}?", "How to stop {store}"],
        "monitor": ["How do I monitor {store}?", "What is the way to monitor {store}?", "Monitoring {store}: how?"],
    }),
    ("settings", "antonym", {
        "on": ["How do I enable notifications in {tool}?", "How can I turn on notifications in {tool}?", "Turning on notifications in {tool}", "Switch on {tool} notifications: how?"],
        "off": ["How do I disable notifications in {tool}?", "How can I turn off notifications in {tool}?", "Switch off {tool} notifications: how?"],
    }),
    ("tuning", "antonym", {
        "more": ["How do I increase the memory limit of {tool}?", "How can I raise the {tool} memory limit?", "Raising the memory limit of {tool}"],
        "less": ["How do I decrease the memory limit of {tool}?", "How can I lower the {tool} memory limit?"],
    }),
    ("opinion", "antonym", {
        "for": ["What are the advantages of {tool}?", "What are the benefits of {tool}?", "List the pros of {tool}.", "Why is {tool} good?"],
        "against": ["What are the disadvantages of {tool}?", "What are the drawbacks of {tool}?", "List the cons of {tool}."],
    }),
    ("advice", "negation", {
        "yes": ["Should I give my {pet} milk?", "Is it okay to give a {pet} milk?", "Can I give my {pet} milk?"],
        "no": ["Should I not give my {pet} milk?", "Why shouldn't I give a {pet} milk?"],
    }),
    ("travel", "swap", {
        "train": ["How do I get from {city} to {city2}?", "How can I travel from {city} to {city2}?", "Ways to travel to {city2} from {city}", "What is the way to go from {city} to {city2}?"],
        "flight": ["Find me a flight from {city} to {city2} on {day}.", "Flights from {city} to {city2} on {day}", "I need a flight to {city2} from {city} on {day}."],
    }),
    ("port", "swap", {
        "code": ["How do I translate {lang} code into {lang2}?", "Port {lang} code to {lang2}", "How can I port code from {lang} to {lang2}?"],
        "data": ["How do I migrate from {store} to {store2}?", "Migrating from {store} to {store2}", "Steps for migrating {store} data to {store2}"],
        "file": ["How do I convert {format} to {format2}?", "Convert {format} into {format2}", "Converting {format} files to {format2}"],
    }),
    ("contest", "swap", {
        "better": ["Why is {tool} better than {tool2}?", "Why do people prefer {tool} over {tool2}?", "What makes {tool} better than {tool2}?"],
        "heavier": ["Why is {metal} heavier than {metal2}?", "What makes {metal} heavier than {metal2}?"],
    }),
    ("contrast", "entity", {
        "differ": ["What is the difference between {tool} and {tool2}?", "How do {tool} and {tool2} differ?", "Compare {tool} and {tool2}.", "{tool} vs {tool2}: differences?", "Difference between {tool2} and {tool}?"],
    }),
    ("amount", "number", {
        "percent": ["What is {m}% of {n}?", "How much is {m} percent of {n}?", "Calculate {m} percent of {n}."],
        "times": ["What is {m} times {n}?", "How much is {m} * {n}?"],
        "minus": ["What is {n} minus {m}?", "How much is {n} - {m}?"],
        "root": ["What is the square root of {n}?", "Square root of {n}?", "Compute the square root of {n}."],
    }),
    ("measure", "unit", {
        "mass": ["How many {mass2} are in {n} {mass}?", "Convert {n} {mass} to {mass2}.", "What is {n} {mass} in {mass2}?"],
        "size": ["How many {size2} are in {n} {size}?", "Convert {n} {size} to {size2}.", "{n} {size} in {size2}"],
        "coin": ["How much is {n} {coin} in {coin2}?", "Convert {n} {coin} to {coin2}.", "{n} {coin} to {coin2}"],
    }),
    ("protocol", "number", {
        "status": ["What does HTTP status {code} mean?", "Explain HTTP status {code}.", "Meaning of HTTP status code {code}", "What is the meaning of status code {code} in HTTP?"],
    }),
    ("errors", "identifier", {
        "fix": ["How do I fix {err} in my shell?", "How can I solve {err} in my shell?", "What is the solution for {err} in my shell?", "{err} error in my shell: how to resolve it?"],
        "mean": ["What does {err} mean?", "Explain the meaning of {err}.", "Meaning of {err}?"],
    }),
    ("functions", "identifier", {
        "does": ["What does {fn} do?", "Explain {fn}.", "Describe what {fn} does.", "What is {fn} for?", "What is the purpose of {fn}?"],
        "fails": ["Why does {fn} return null?", "{fn} returns null, why?", "What makes {fn} return null?"],
        "test": ["Write unit tests for {fn}.", "Generate unit tests for {fn}.", "Give me unit tests for {fn}."],
        "flag": ["What does {flag} do?", "Explain {flag}.", "What is {flag} for?"],
        "path": ["Explain {path}", "What is in {path}?", "Describe {path}"],
    }),
    ("laptop", "identifier", {
        "price": ["How much does the Nordika {model} cost?", "What is the price of the Nordika {model}?", "Nordika {model} price"],
        "weight": ["How heavy is the Nordika {model}?", "What is the weight of the Nordika {model}?", "Nordika {model} weight"],
        "battery": ["What is the battery life of the Nordika {model}?", "How long does the Nordika {model} battery last?"],
    }),
    ("snippet", "proglang", {
        "csv": ["How do I read a CSV file in {lang}?", "Show me how to read a CSV file in {lang}.", "Write {lang} code that reads a CSV file.", "Reading a CSV file with {lang}"],
        "pal": ["Write a {lang} function that checks for palindromes.", "Palindrome check function in {lang}", "Implement a palindrome check in {lang}."],
        "dup": ["How do I remove duplicates from a list in {lang}?", "Removing duplicates from a list using {lang}", "Write {lang} code to remove duplicates from a list."],
        "add": ["How do I add elements to a list in {lang}?", "Adding elements to a list using {lang}"],
    }),
    ("speech", "lang", {
        "say": ["How do you say {phrase} in {tongue}?", "Translate {phrase} into {tongue}.", "What is {phrase} in {tongue}?", "What's the {tongue} translation of {phrase}?"],
        "sum": ["Summarize our meeting notes in {tongue}.", "Give me a summary of our meeting notes in {tongue}.", "Write a summary of our meeting notes in {tongue}."],
        "learn": ["How long does it take to learn {tongue}?", "How much time is needed to learn {tongue}?"],
    }),
    ("shape", "format", {
        "config": ["Give me an example invoice in {format}.", "Show a sample invoice in {format}.", "Generate an invoice example as {format}."],
        "long": ["Explain {topic} in detail.", "Give me a detailed explanation of {topic}.", "Detailed explanation of {topic}"],
        "short": ["Explain {topic} briefly.", "Give me a brief explanation of {topic}.", "Brief explanation of {topic}"],
        "kids": ["Explain {topic} to a child.", "Explain {topic} in simple terms."],
        "plain": ["Explain {topic}.", "What is {topic}?", "Can you describe {topic}?", "Give me an explanation of {topic}."],
        "n": ["Explain {topic} in {n} sentences.", "Give me an explanation of {topic} in {n} sentences.", "In {n} sentences, what is {topic}?"],
    }),
    ("gift", "number", {
        "gift": ["What is a good present for a {n} year old?", "Suggest a gift for a {n} year old.", "Gift ideas for a {n} year old"],
        "trip": ["Plan a trip of {n} days to {city}.", "Give me an itinerary for {n} days in {city}.", "What should I see in {city} in {n} days?"],
        "poem": ["Write a poem about {topic} with {n} lines.", "Compose a poem of {n} lines about {topic}.", "Give me a {n} line poem about {topic}."],
        "words": ["Give me {words} tips for {plant} growers.", "List {words} tips for {plant} growers."],
    }),
    ("dates", "date", {
        "event": ["What happened in {land} in {year}?", "Summarize the events of {year} in {land}.", "Which events took place in {land} in {year}?"],
        "weather": ["What is the weather like in {city} in {month}?", "How is the weather in {city} in {month}?", "Describe {city}'s weather in {month}."],
        "hours": ["When does the library open on {day}?", "Opening time of the library on {day}", "At what time does the library open on {day}?"],
        "close": ["When does the library close on {day}?", "Closing time of the library on {day}", "At what time does the library close on {day}?"],
    }),
    ("animals", "aspect", {
        "eat": ["What does an {animal} eat?", "What is the diet of the {animal}?", "What do {animal}s eat?"],
        "speed": ["How fast is the {animal}?", "What is the top speed of the {animal}?", "How fast can an {animal} move?"],
        "live": ["Where does the {animal} live?", "What is the habitat of the {animal}?"],
        "weight": ["How much does an {animal} weigh?", "What is the weight of an {animal}?", "How heavy is an {animal}?"],
        "male": ["What is a male {animal} called?"], "female": ["What is a female {animal} called?"],
        "eats": ["Does an {animal} eat a {animal2}?", "Do {animal}s eat {animal2}s?"],
    }),
    ("release", "number", {
        "new": ["What is new in {lang} {version}?", "What changed in {lang} {version}?", "List the new features of {lang} {version}."],
        "old": ["How do I install {lang} {version}?", "Installing {lang} {version}"],
    }),
    ("requests", "modifier", {
        "least": ["Write a regex for a code with at least {m} digits.", "Regex that matches a code of at least {m} digits"],
        "most": ["Write a regex for a code with at most {m} digits.", "Regex that matches a code of at most {m} digits"],
        "daily": ["How do I schedule a daily job in {tool}?", "Scheduling a daily job with {tool}"],
        "weekly": ["How do I schedule a weekly job in {tool}?", "Scheduling a weekly job with {tool}"],
        "all": ["List all users in {store}.", "Show me all users in {store}."],
        "none": ["List users without a password in {store}.", "Which users in {store} have no password?"],
        "with": ["List users with a password in {store}.", "Which users in {store} have a password?"],
    }),
    ("special", "modifier", {
        "car": ["How do I wash a car?", "How to wash a car", "What is the way to wash a car?"],
        "dog": ["How do I wash a dog?", "How to wash a dog"],
        "wool": ["How do I wash a woolen sweater?", "How to wash a woolen sweater"],
        "window": ["How do I wash a car window?", "How to wash the window of a car"],
    }),
    ("papers", "modifier", {
        "essay": ["Write an essay about {topic}.", "Compose an essay on {topic}.", "I need an essay about {topic}."],
        "poem": ["Write a poem about {topic}.", "Compose a poem on {topic}.", "I need a poem about {topic}."],
        "funny": ["Write a funny poem about {topic}.", "I need a funny poem about {topic}."],
        "quiz": ["Write a quiz about {topic}.", "Create a quiz on {topic}."],
        "school": ["Write an essay about {topic} for a school magazine.", "Compose an essay on {topic} for a school magazine."],
    }),
    ("office", "entity", {
        "letter": ["Write a resignation letter.", "Draft a letter of resignation.", "I need a resignation letter.", "Can you write me a resignation letter?"],
        "cover": ["Write a cover letter.", "Draft a cover letter."],
        "complaint": ["Write a complaint letter to my landlord.", "Draft a letter of complaint to my landlord."],
        "tenant": ["Write a complaint letter to my tenant.", "Draft a letter of complaint to my tenant."],
        "thank": ["Write a thank you note to my teacher.", "Draft a thank you note to my teacher."],
    }),
    ("git", "antonym", {
        "undo": ["How do I undo the last commit in git?", "How can I revert my last commit in git?", "Undoing the last git commit"],
        "amend": ["How do I amend the last commit in git?", "Amending the last git commit"],
        "first": ["How do I undo the first commit in git?"],
        "branch": ["How do I create a branch in git?", "Creating a git branch", "What is the git command for creating a branch?"],
        "delete": ["How do I delete a branch in git?", "Deleting a git branch", "What is the git command for deleting a branch?"],
        "rename": ["How do I rename a branch in git?", "Renaming a git branch"],
        "tag": ["How do I delete a tag in git?", "Deleting a git tag"],
    }),
]

STREAM = [
    ("moon", "aspect", {
        "tall": ["How tall is Mount {peak}?", "What is the height of Mount {peak}?", "Mount {peak} height?", "Tell me the elevation of Mount {peak}."],
        "where": ["Where is Mount {peak}?", "Where is Mount {peak} located?", "In which country is Mount {peak}?"],
        "first": ["Who first climbed Mount {peak}?", "Who was first to climb Mount {peak}?"],
    }),
    ("river", "entity", {
        "length": ["How long is the {river} river?", "What is the length of the river {river}?", "Length of the {river} river"],
        "source": ["Where does the {river} river begin?", "Where does the {river} river start?"],
        "mouth": ["Where does the {river} river end?"],
    }),
    ("painter", "entity", {
        "style": ["Describe the painting style of {painter}.", "What is {painter}'s painting style?", "Explain the painting style of {painter}."],
        "born": ["When was {painter} born?", "What is the birth date of {painter}?", "{painter} date of birth?"],
        "died": ["When did {painter} die?", "On what date did {painter} die?"],
    }),
    ("vitamins", "entity", {
        "food": ["Which foods contain vitamin {vit}?", "What foods contain vitamin {vit}?", "List foods containing vitamin {vit}."],
        "dose": ["What is the daily dose of vitamin {vit}?", "How much vitamin {vit} do I need daily?"],
        "much": ["Which foods are high in vitamin {vit}?", "What foods are rich in vitamin {vit}?"],
        "little": ["Which foods are low in vitamin {vit}?"],
    }),
    ("gadgets", "identifier", {
        "reset": ["How do I reset my Kestrel {gadget}?", "How can I reset the Kestrel {gadget}?", "Resetting a Kestrel {gadget}", "Steps for resetting the Kestrel {gadget}"],
        "charge": ["How do I charge my Kestrel {gadget}?", "How can I charge the Kestrel {gadget}?"],
        "lost": ["How do I reset my lost Kestrel {gadget}?"],
        "case": ["How do I reset my Kestrel {gadget} remotely?"],
        "restart": ["How do I restart my Kestrel {gadget}?", "How can I restart the Kestrel {gadget}?"],
    }),
    ("routes", "direction", {
        "bus": ["Is there a bus from {town} to {town2}?", "Which buses go from {town} to {town2}?", "I need a bus to {town2} from {town}."],
        "dist": ["How long is the drive from {town} to {town2}?", "How long does it take to drive from {town} to {town2}?"],
        "move": ["What should I know when moving from {town} to {town2}?", "Moving from {town} to {town2}: what should I know?"],
    }),
    ("owing", "direction", {
        "sue": ["Can {role} sue {role2}?", "Is it possible for {role} to sue {role2}?"],
        "pay": ["When does {role} have to pay {role2}?", "When must {role} pay {role2}?"],
    }),
    ("ports", "direction", {
        "enc": ["How do I convert {img} to {img2}?", "Convert {img} into {img2}", "What is the way to convert {img} files to {img2}?"],
        "money": ["Convert {k} {cash} to {cash2}.", "How much is {k} {cash} in {cash2}?", "{k} {cash} in {cash2}"],
        "better": ["Why is {img} better than {img2}?", "What makes {img} better than {img2}?"],
        "tr": ["Translate {words2} from {t1} to {t12}.", "How do I translate {words2} from {t1} into {t12}?"],
    }),
    ("polar", "polarity", {
        "up": ["How do I increase the volume of my {box}?", "How can I raise my {box} volume?", "How do I make my {box} louder?"],
        "down": ["How do I decrease the volume of my {box}?", "How can I lower my {box} volume?", "How do I make my {box} quieter?"],
    }),
    ("polar2", "polarity", {
        "lock": ["How do I lock my {box}?", "How can I lock the {box}?", "Locking my {box}: how?"],
        "unlock": ["How do I unlock my {box}?", "How can I unlock the {box}?"],
        "on": ["How do I turn on bluetooth on my {box}?", "How can I enable bluetooth on my {box}?", "Activating bluetooth on my {box}"],
        "off": ["How do I turn off bluetooth on my {box}?", "How can I disable bluetooth on my {box}?", "Deactivating bluetooth on my {box}"],
        "connect": ["How do I connect my {box} to wifi?", "Connecting my {box} to wifi"],
        "disconnect": ["How do I disconnect my {box} from wifi?", "Disconnecting my {box} from wifi"],
    }),
    ("polar3", "polarity", {
        "max": ["What is the maximum temperature for {fish}?", "Highest temperature for {fish}?"],
        "min": ["What is the minimum temperature for {fish}?", "Lowest temperature for {fish}?"],
        "before": ["What should I do before buying {fish}?", "What do I need to do before I buy {fish}?"],
        "after": ["What should I do after buying {fish}?"],
        "buy": ["Where can I buy {fish}?", "Where can I purchase {fish}?", "Places to buy {fish}"],
        "sell": ["Where can I sell {fish}?"],
    }),
    ("nots", "negation", {
        "is": ["Is {snack} healthy?", "Is it healthy to eat {snack}?"],
        "isnt": ["Is {snack} not healthy?", "Why isn't {snack} healthy?"],
        "with": ["Give me a {snack} recipe with sugar.", "I want a recipe for {snack} with sugar."],
        "without": ["Give me a {snack} recipe without sugar.", "I want a recipe for {snack} without sugar."],
        "can": ["Can dogs eat {snack}?", "Is it okay for dogs to eat {snack}?"],
        "cant": ["Why can't dogs eat {snack}?", "Why should dogs not eat {snack}?"],
    }),
    ("numbers", "number", {
        "sum": ["What is {k} plus {j}?", "How much is {k} + {j}?", "Calculate {k} plus {j}."],
        "div": ["What is {k} divided by {j}?", "How much is {k} / {j}?"],
        "rows": ["Show me the top {k} rows of the sales table.", "Give me the top {k} rows of the sales table.", "List the top {k} rows of the sales table."],
        "loan": ["What is the monthly payment on a loan of {k} thousand dollars over {j} years?", "Calculate the monthly payment of a loan of {k} thousand dollars over {j} years."],
        "story": ["Write a story about {hero} in {k} sentences.", "Tell me a story about {hero} in {k} sentences.", "I need a story of {k} sentences about {hero}."],
        "egg": ["How long should I boil {k} eggs?", "For how long do I boil {k} eggs?"],
        "mix": ["How much water do I need for {k} cups of rice and {j} cups of lentils?", "Water needed for {k} cups of rice and {j} cups of lentils?"],
    }),
    ("versions", "number", {
        "port": ["What runs on port {port}?", "Which service uses port {port}?", "What service runs on port {port}?"],
        "rfc": ["What does RFC {port} describe?", "Summarize RFC {port}.", "Explain RFC {port}."],
        "ver": ["How do I upgrade Fedora to {ver}?", "Upgrading Fedora to {ver}", "What are the steps to upgrade Fedora to {ver}?"],
    }),
    ("quotes", "quote", {
        "mean": ["What does the saying {saying} mean?", "Explain the meaning of the saying {saying}.", "Meaning of the saying {saying}?"],
        "lang": ["How do you say {saying} in {t1}?", "Translate {saying} into {t1}.", "What is {saying} in {t1}?"],
        "use": ["Use {saying} in a sentence.", "Give me a sentence that uses {saying}."],
    }),
    ("codes", "identifier", {
        "env": ["What does the variable {env} control?", "Explain the variable {env}.", "What is the variable {env} for?"],
        "call": ["When should I call `{meth}`?", "When do I call `{meth}`?"],
        "fix": ["Why is `{meth}` slow?", "What makes `{meth}` slow?", "What is the reason `{meth}` is slow?"],
        "doc": ["Write documentation for `{meth}`.", "Generate documentation for `{meth}`."],
    }),
    ("times", "date", {
        "weather": ["What should I wear in {town} in {mon}?", "What clothes should I wear in {town} in {mon}?"],
        "best": ["Which films came out in {yr}?", "What films came out in {yr}?", "List films that came out in {yr}."],
        "open": ["Is the museum in {town} open on {wd}?", "Does the museum in {town} open on {wd}?"],
        "moon": ["When is the full moon in {mon} {yr}?", "Date of the full moon in {mon} {yr}?"],
    }),
    ("output", "format", {
        "log": ["Give me a sample log entry in {img}.", "Show me an example log entry in {img}.", "Generate a sample log entry as {img}."],
        "brief": ["Explain {idea} briefly.", "Give me a brief explanation of {idea}."],
        "deep": ["Explain {idea} in detail.", "Give me a detailed explanation of {idea}."],
        "like": ["Explain {idea} with an analogy."],
        "who": ["Who came up with {idea}?"],
        "at": ["Explain {idea} in databases."],
        "plain": ["Explain {idea}.", "What is {idea}?", "Can you explain {idea} to me?", "Please describe {idea}."],
    }),
    ("langs", "proglang", {
        "date": ["How do I parse a date in {pl}?", "Parsing a date in {pl}", "Show me how to parse a date in {pl}.", "Write {pl} code that parses a date."],
        "iso": ["How do I parse an ISO date in {pl}?"],
        "secure": ["How do I generate a secure random number in {pl}?"],
        "rand": ["How do I generate a random number in {pl}?", "Write {pl} code that generates a random number.", "Generating a random number in {pl}"],
        "rev": ["How do I reverse a string in {pl}?", "Reversing a string in {pl}", "Write {pl} code to reverse a string.", "Show me string reversal in {pl}."],
        "max": ["How do I find the maximum of a list in {pl}?", "Finding the maximum of a list in {pl}"],
        "min": ["How do I find the minimum of a list in {pl}?", "Finding the minimum of a list in {pl}"],
    }),
    ("units", "unit", {
        "vol": ["How many {v2} are in {k} {v1}?", "Convert {k} {v1} to {v2}.", "{k} {v1} in {v2}"],
        "spd": ["How far does light travel in {k} {tm}?", "What distance does light travel in {k} {tm}?"],
    }),
    ("law", "modifier", {
        "tax": ["How do I file taxes as a {worker}?", "Filing taxes as a {worker}", "How to file taxes as a {worker}"],
        "late": ["How do I file late taxes as a {worker}?"],
        "abroad": ["How do I file taxes abroad as a {worker}?"],
        "leave": ["How much parental leave do I get in {land2}?", "Parental leave in {land2}: how much do I get?"],
        "north": ["Which states border {land2} in the north?", "What states border {land2} in the north?"],
        "south": ["Which states border {land2} in the south?"],
    }),
]
STREAM_SLOTS = {
    "peak": "Elbrus Kenya Rainier Olympus Logan Fuji Etna Whitney".split(), "river": "Danube Ganges Volga Mekong Niger Elbe Orinoco".split(),
    "painter": ["Edvard Munch", "Paul Klee", "Mary Cassatt", "Diego Rivera", "Gustav Klimt"], "vit": "A C D E K B12 B6".split(),
    "gadget": "R30 R35 R50 Mini Pro".split(), "town": "Porto Graz Bergen Turin Leeds Denver Osaka Ghent Malaga Lyon".split(),
    "role": ["a landlord", "a tenant", "the buyer", "the seller", "an employer", "an employee", "a doctor", "a patient"],
    "img": "JSON XML YAML CSV TOML".split(), "cash": "CHF EUR GBP USD".split(), "box": "laptop speaker tablet television headset".split(),
    "fish": "goldfish guppies koi discus".split(), "snack": "popcorn granola chocolate hummus yogurt".split(),
    "k": "2 3 5 7 10 12 15 20 25 30 35 40 50 60 70 100 150 200 400 1000 2500".split(), "j": "4 6 8 9 11 14 16 18 24 32 48".split(), "hero": "pirates robots dragons astronauts".split(),
    "port": "22 25 53 80 443 3306 5432 6379 8443 9092".split(), "ver": "38 39 40 41".split(),
    "saying": ['"spill the beans"', '"bite the bullet"', '"piece of cake"', '"under the weather"'], "t1": "German Spanish Polish Korean".split(),
    "words2": ["contracts", "poems"], "env": "MAX_CONNS MAX_CONN HTTP_PROXY HTTPS_PROXY".split(),
    "meth": "loadUser loaduser load_user saveUser saveUsers flushAll".split(), "mon": "January March June September December".split(),
    "yr": "1994 1999 2003 2012 2018 2021".split(), "wd": "Monday Friday Sunday".split(),
    "idea": ["recursion", "polymorphism", "memoization", "currying", "sharding", "idempotence"], "pl": "Python Rust Go Java Kotlin Ruby C++ Swift".split(),
    "v1": "liters gallons cups pints".split(), "tm": "seconds minutes hours years".split(), "worker": "freelancer student contractor pensioner".split(),
    "land2": "Canada Brazil Germany Sweden Mexico".split(),
}
STREAM_PAIRED = {"town2": "town", "role2": "role", "img2": "img", "cash2": "cash", "t12": "t1", "v2": "v1"}
# What makes another question of one, said at its end or before what fills its first slot.
FURTHER = ["in winter", "during pregnancy", "on a small budget", "with a microscope", "in medieval times", "at high altitude", "for the exam", "in the desert",
    "under pressure", "by hand", "in a school play", "according to critics", "for left-handed people", "near the coast", "with gloves", "in space", "underwater",
    "when it rains", "for a wedding", "in prison", "as a hobby", "with children", "on television", "in court", "from scratch", "in the cloud", "behind a proxy",
    "with docker", "in production", "offline", "at night", "and its price", "and its history", "and why", "and how to avoid it", "and its author", "for tourists",
    "in the army", "with a mirror", "before the war", "using recursion", "for dogs", "of all time", "per person", "and the symptoms", "in the last century"]
NEARER = "spicy frozen wild toy miniature medieval broken rented stolen antique wooden digital virtual artificial rotten tropical military corporate rural ancient".split()
# What does not.
IDLE = ["if you can", "for me", "I am curious", "I was wondering", "as far as you know", "would you", "when you can", "my friend"]
BEFORE = ["", "", "", "", "Hey, ", "Quick question: ", "Hello! ", "Hi there. ", "Please help: ", "Could you please tell me: "]
AFTER = ["", "", "", "", " Thanks", " Thank you!", " please", " Thanks in advance.", " Cheers"]


def slots_of(phrasings):
    names = []
    for phrasing in phrasings:
        for part in phrasing.split("{")[1:]:
            name = part.split("}")[0]
            if name not in names:
                names.append(name)
    return names


def fill(rng, names, pools, paired):
    values = {}
    for name in sorted(names, key=lambda name: name in paired):
        base = paired.get(name)
        pool = pools[base or name]
        values[name] = rng.choice([value for value in pool if base is None or value != values.get(base)])
    return values


def spoken(rng, phrasing, values, noise=0.45):
    text = phrasing.format(**values)
    text = text[0].upper() + text[1:] if text[0].isalpha() else text
    if rng.random() < noise:
        before, after = rng.choice(BEFORE), rng.choice(AFTER)
        text = before + text + after
    if rng.random() < 0.08:
        text = text.rstrip("?.")
    # Some write without capitals; not where case is what a look-alike differs in.
    if rng.random() < 0.08 and "`" not in text and not any(key in values for key in ("lang", "pl", "vit", "model")):
        text = text.lower()
    return text


def varied(rng, names, values, pools, paired):
    """Another filling that differs in one slot, or in the order of two of one pool."""
    values = dict(values)
    pairs = [name for name in names if name in paired and paired[name] in names]
    if pairs and rng.random() < 0.5:
        name = rng.choice(pairs)
        values[name], values[paired[name]] = values[paired[name]], values[name]
        return values, "swap"
    name = rng.choice(names)
    base = paired.get(name, name)
    taken = {values.get(other) for other in names if paired.get(other, other) == base}
    values[name] = rng.choice([value for value in pools[base] if value not in taken])
    return values, base


def symmetric(family, values, other):
    return family == "contrast" and sorted(values.values()) == sorted(other.values())


def pairs(seed):
    rng = random.Random(seed)
    pools = {name: pool for name, (_, pool) in SLOTS.items()}
    seen = set()

    def give(a, b, label, kind, family):
        if a == b or (a, b) in seen or (b, a) in seen:
            return
        seen.add((a, b))
        print(json.dumps({"a": a, "b": b, "label": label, "kind": kind, "family": family}, ensure_ascii=False))

    for family, between, variants in FIT:
        for phrasings in variants.values():
            names = slots_of(phrasings)
            rounds = 32 if names else 6
            for _ in range(rounds):
                values = fill(rng, names, pools, PAIRED)
                one, two = (rng.sample(phrasings, 2) if len(phrasings) > 1 else phrasings * 2)
                give(spoken(rng, one, values), spoken(rng, two, values), 1, "paraphrase", family)
                give(spoken(rng, one, values), spoken(rng, one, values, 0).rstrip(".?") + " " + rng.choice(IDLE), 1, "paraphrase", family)
                if rng.random() < 0.3:
                    said = spoken(rng, two, values, 0)
                    first = values[names[0]] if names else ""
                    if first and rng.random() < 0.4 and first in said and first[0].islower():
                        more = said.replace(first, rng.choice(NEARER) + " " + first, 1)
                    else:
                        more = said.rstrip(".?") + " " + rng.choice(FURTHER) + said[len(said.rstrip(".?")):]
                    give(spoken(rng, one, values), more, 0, "further", family)
                if not names:
                    continue
                other, what = varied(rng, names, values, pools, PAIRED)
                kind = "swap" if what == "swap" else SLOTS[what][0]
                label = int(symmetric(family, values, other))
                one, two = rng.choice(phrasings), rng.choice(phrasings)
                give(spoken(rng, one, values), spoken(rng, two, other), label, "paraphrase" if label else kind, family)
        for (_, left), (_, right) in itertools.combinations(variants.items(), 2):
            for _ in range(14):
                names = slots_of(left + right)
                values = fill(rng, names, pools, PAIRED)
                give(spoken(rng, rng.choice(left), values), spoken(rng, rng.choice(right), values), 0, between, family)


def stream(seed, length=2000):
    rng = random.Random(seed + 1)
    intents, asked, texts = [], [], set()
    while len(asked) < length:
        family, between, variants = rng.choice(STREAM)
        roll = rng.random()
        if asked and roll < 0.46:
            # A true repeat: an earlier intent, said in another way, or as it was.
            intent = rng.choice(intents)
            _, phrasings, values, key = intent
            said = spoken(rng, rng.choice(phrasings), values)
            if said not in texts or rng.random() < 0.1:
                texts.add(said)
                asked.append({"text": said, "intent": key, "kind": "repeat"})
            continue
        if asked and roll < 0.92:
            # A look-alike of an earlier one: another variant, another filling, or the other way round.
            family_at, phrasings, values, _ = rng.choice(intents)
            family, between, variants = family_at
            names = slots_of(phrasings)
            if len(variants) > 1 and (rng.random() < 0.45 or not names):
                variant = rng.choice(list(variants))
                phrasings = variants[variant]
                values = {**fill(rng, slots_of(phrasings), STREAM_SLOTS, STREAM_PAIRED), **{k: v for k, v in values.items() if k in slots_of(phrasings)}}
                for name, base in STREAM_PAIRED.items():
                    while name in values and values.get(base) == values[name]:
                        values[name] = rng.choice(STREAM_SLOTS[base])
                kind = between
            else:
                values, what = varied(rng, names, values, STREAM_SLOTS, STREAM_PAIRED)
                kind = "direction" if what == "swap" else between
        else:
            phrasings = rng.choice(list(variants.values()))
            values = fill(rng, slots_of(phrasings), STREAM_SLOTS, STREAM_PAIRED)
            kind = "new"
        variant = next(name for name, own in variants.items() if own is phrasings)
        values = {name: values[name] for name in slots_of(phrasings)}
        order = sorted(values.items())
        key = "/".join([family, variant] + [f"{name}={value}" for name, value in order])
        known = any(intent[3] == key for intent in intents)
        if known:
            continue
        intents.append(((family, between, variants), phrasings, values, key))
        said = spoken(rng, rng.choice(phrasings), values)
        texts.add(said)
        asked.append({"text": said, "intent": key, "kind": kind})
    for line in asked:
        print(json.dumps(line, ensure_ascii=False))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("what", choices=["pairs", "stream"])
    arguments.add_argument("--seed", type=int, default=20261122)
    given = arguments.parse_args()
    pairs(given.seed) if given.what == "pairs" else stream(given.seed)
