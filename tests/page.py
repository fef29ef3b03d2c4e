"""A page that graphviz::render() writes works in a browser: zoom, drag, search, steps, facts, themes; without a network.

page.py program: the program writes a page into the file it is given.  Needs chromium, chromedriver and selenium; status 77
says that they are missing.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
try:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    print("selenium (package python3-selenium) is not installed")
    sys.exit(SKIPPED)


def open_browser(folder):
    programs = [shutil.which("chromium"), shutil.which("chromedriver"), shutil.which("dot")]
    if not all(programs):
        print("chromium, chromedriver (packages chromium and chromium-driver) or dot are not installed")
        sys.exit(SKIPPED)
    options = Options()
    for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1200,900", f"--user-data-dir={folder}/profile"]:
        options.add_argument(argument)
    options.binary_location = programs[0]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(service=Service(programs[1]), options=options)


class Page:
    def __init__(self, browser):
        self.browser = browser

    def media(self, **features):
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": listed})

    def js(self, script, *arguments):
        return self.browser.execute_script("return " + script, *arguments)

    def by(self, name):
        return self.browser.find_element(By.ID, name)

    def keys(self, *keys):
        ActionChains(self.browser).send_keys(*keys).perform()

    def seen(self):
        box = self.js("document.querySelector('#stage svg').getAttribute('viewBox')")
        return [float(number) for number in box.split()]

    def with_class(self, word):
        """The ranks N of the classes atN of all elements that have the class."""
        ranks = self.js("[...document.querySelectorAll('#stage .' + arguments[0])].map((e) => "
                        "Number(/at(\\d+)/.exec(e.getAttribute('class'))[1]))", word)
        return set(ranks)

    def colour(self, element, what):
        return self.js("getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", element, what)


def check_zoom(page):
    whole = page.seen()
    page.by("in").click()
    closer = page.seen()
    assert closer[2] < whole[2] and closer[3] < whole[3], (whole, closer)
    # What is under the wheel stays under it.
    stage = page.by("stage")
    card = page.by("loss")
    before = card.rect
    middle = (before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
    page.js("arguments[0].dispatchEvent(new WheelEvent('wheel', {deltaY: -400, clientX: arguments[1], clientY: arguments[2],"
            " bubbles: true, cancelable: true}))", stage, *middle)
    after = card.rect
    assert after["width"] > before["width"] * 1.5, (before, after)
    assert abs(after["x"] + after["width"] / 2 - middle[0]) < 2, (middle, after)
    assert abs(after["y"] + after["height"] / 2 - middle[1]) < 2, (middle, after)
    start = card.rect
    ActionChains(page.browser).move_to_element(stage).click_and_hold().move_by_offset(60, -40).release().perform()
    moved = card.rect
    assert abs(moved["x"] - start["x"] - 60) < 2 and abs(moved["y"] - start["y"] + 40) < 2, (start, moved)
    page.by("fit").click()
    assert page.seen() == whole, (page.seen(), whole)


def check_steps(page, data):
    last = len(data["steps"])
    assert last > 6, data["steps"]
    assert page.with_class("later") == set(), "all is lit at first"
    page.keys(Keys.HOME)
    assert page.with_class("later") == set(range(last))
    for position in range(1, last + 1):
        page.keys(Keys.ARROW_RIGHT)
        assert page.with_class("now") == {position - 1}
        assert page.with_class("later") == set(range(position, last))
        assert page.by("where").text == f"step {data['steps'][position - 1]} of {data['steps'][-1]}"
    page.keys(Keys.ARROW_RIGHT)
    assert page.with_class("now") == {last - 1}, "there is nothing behind the last step"
    page.keys(Keys.ARROW_LEFT)
    assert page.with_class("later") == {last - 1}
    page.media(prefers_color_scheme="light", prefers_reduced_motion="reduce")  # at once, without a transition
    page.keys(Keys.ARROW_LEFT)
    faint = page.js("[...document.querySelectorAll('.later')].map((e) => Number(getComputedStyle(e).opacity))")
    assert max(faint) < 0.2, faint
    page.media(prefers_color_scheme="light", prefers_reduced_motion="no-preference")
    page.keys(Keys.END)
    assert page.with_class("later") == set()
    page.js("arguments[0].focus()", page.by("stage"))
    page.keys(" ")
    assert page.by("play").get_attribute("aria-label") == "Pause"
    page.keys(" ")
    assert page.by("play").get_attribute("aria-label") == "Play"
    assert page.with_class("later") != set(), "from the end, playing begins again"
    page.keys(Keys.END)


def check_search(page):
    page.keys("/")
    search = page.by("search")
    assert page.browser.switch_to.active_element == search
    search.send_keys("encoder.first")
    assert page.by("hits").text == "3 found", page.by("hits").text  # weight, bias and what uses them
    search.send_keys(Keys.ENTER)
    here = page.browser.find_elements(By.CSS_SELECTOR, ".here")
    assert len(here) == 1
    card, stage = here[0].rect, page.by("stage").rect
    for start, length in [("x", "width"), ("y", "height")]:
        middle = card[start] + card[length] / 2
        assert abs(middle - stage[start] - stage[length] / 2) < 3, (card, stage)
    first = here[0].get_attribute("id")
    search.send_keys(Keys.ENTER)
    assert page.browser.find_element(By.CSS_SELECTOR, ".here").get_attribute("id") != first
    search.send_keys(Keys.SHIFT + Keys.ENTER)
    assert page.browser.find_element(By.CSS_SELECTOR, ".here").get_attribute("id") == first
    search.clear()
    search.send_keys("nothing is called this")
    assert page.by("hits").text == "not found"
    search.clear()
    search.send_keys("x", Keys.BACKSPACE, Keys.ESCAPE)
    assert page.browser.find_elements(By.CSS_SELECTOR, ".hit") == []


def check_facts(page, data):
    page.by("fit").click()
    name = next(name for name, keys in data["cards"].items() if name.startswith("b") and
                ["op", "relu  max(0, x)"] in data["records"][keys[0]]["facts"])
    page.by(name).click()
    panel = page.by("facts")
    assert panel.is_displayed()
    told = page.js("[...document.querySelectorAll('#facts dt, #facts dd')].map((e) => e.textContent)")
    facts = [text for line in data["records"][data["cards"][name][0]]["facts"] for text in line]
    assert told == facts, (told, facts)
    assert {"op", "shape", "gradient", "backward step", "rule"} <= set(told), told
    page.keys(Keys.ESCAPE)
    assert not panel.is_displayed()
    # With keys alone.
    page.js("arguments[0].focus()", page.by(name))
    page.keys(Keys.ENTER)
    assert panel.is_displayed()
    assert page.colour(f"#{name}", "outlineStyle") == "solid"
    page.by("close").click()
    assert not panel.is_displayed()


def check_themes(page):
    white, black = "rgb(255, 255, 255)", "rgb(13, 17, 23)"
    ground = lambda: (page.colour("body", "backgroundColor"), page.colour("#stage polygon", "fill"))
    assert ground() == (white, white)
    page.by("theme").click()
    assert ground() == (black, black)
    page.by("theme").click()
    assert ground() == (white, white)
    page.by("theme").click()
    page.media(prefers_color_scheme="dark")
    assert ground() == (black, black), "the system's theme again"
    page.media(prefers_color_scheme="light", prefers_reduced_motion="reduce")
    assert float(page.colour(".back", "transitionDuration").rstrip("s")) == 0
    page.media(prefers_color_scheme="light", prefers_reduced_motion="no-preference")


def main():
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "page.html")
        browser = open_browser(folder)
        try:
            subprocess.run([sys.argv[1], file], check=True)
            page = Page(browser)
            page.media(prefers_color_scheme="light", prefers_reduced_motion="no-preference")
            browser.get_log("performance")
            browser.get("file://" + file)
            data = json.loads(page.js("document.getElementById('data').textContent"))
            assert browser.title == "A page for </script><!--", browser.title
            check_zoom(page)
            check_steps(page, data)
            check_search(page)
            check_facts(page, data)
            check_themes(page)
            assert browser.get_log("browser") == [], "messages on the console"
            messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
            asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
            assert asked == ["file://" + file], asked
        finally:
            browser.quit()
    print("zoom, steps, search, facts and themes work, without a request")


if __name__ == "__main__":
    main()
